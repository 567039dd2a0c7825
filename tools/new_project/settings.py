"""A config with the settings that suit data of some size: network, batches, epochs, metrics."""

import json
import re
from collections.abc import Sequence
from typing import Any

MAX_LINE = 90
ROWS_PER_COLUMN = 10  # to train on; with fewer, networks are small and columns chosen
MIN_BALANCED, MAX_RATIO = 10, 4  # samples of the rarest class; how often the most frequent one is as frequent


def config_for(
    name: str, arch: dict[str, Any], data: tuple[str, dict[str, Any]], n_train: int, task: str, epochs: int = 100
) -> dict[str, Any]:
    """A whole config.

    name: of the file or folder. data: the loader's type and arguments, without a batch size.
    n_train: the samples trained on. task: "classification" or "regression".
    """
    is_classification = task == "classification"
    loader, arguments = data
    batch_size = next((size for size, most in BATCH_SIZES.items() if n_train < most), 512)
    return {
        "$schema": "config.schema.json",
        "name": re.sub(r"[/\\]", "_", name.lstrip("."))[:100] or "Mine",
        "n_gpu": 1,
        "seed": 123,
        "arch": arch,
        "data_loader": {"type": loader, "args": arguments | {"batch_size": batch_size, "shuffle": True}},
        "optimizer": {"type": "AdamW", "args": {"lr": 0.002, "weight_decay": 0.01}},
        "loss": "cross_entropy" if is_classification else "mse_loss",
        "metrics": ["accuracy", "balanced_accuracy", "macro_f1"] if is_classification else ["mae", "rmse", "r2_score"],
        "lr_scheduler": {"type": "CosineAnnealingLR", "args": {"T_max": epochs}},
        "trainer": {
            "epochs": epochs,
            "save_dir": "saved/",
            "save_period": 10,
            "verbosity": 1,
            "monitor": "min val_loss",
            "early_stop": epochs // 5,
            "tensorboard": True,
        },
    }


BATCH_SIZES = {8: 100, 16: 400, 32: 2_000, 64: 10_000, 256: 100_000}  # each up to a number of training samples


def network_for(n_train: int, n_columns: int) -> dict[str, Any]:
    """A multilayer perceptron, a small one for few rows of many columns: it would learn them by heart."""
    is_small = n_columns * ROWS_PER_COLUMN > n_train
    sizes, dropout = ([32], 0.5) if is_small else ([128, 64], 0.2)
    return {"type": "MLP", "args": {"sizes": ["auto", *sizes, "auto"], "dropout": dropout}}


def balance(config: dict[str, Any], counts: Sequence[int]) -> list[str]:
    """Let rare classes count as much as frequent ones, if they are much rarer and still enough to learn from.

    counts: the samples of each class. Returns the line that says so, if it did.
    """
    if min(counts) < MIN_BALANCED or max(counts) < MAX_RATIO * min(counts):
        return []
    config["loss"] = {"type": "cross_entropy", "args": {"weight": "balanced"}}
    return [f"Classes of {min(counts)} to {max(counts)}: in the loss each counts alike, so that rare ones are found; "
            "probabilities of these are too high then"]  # fmt: skip


def config_text(config: dict[str, Any]) -> bytes:
    """JSON as a person writes it: short lists, and the arguments and entries that fit, on one line."""
    text = json.dumps(config, indent=4, ensure_ascii=False) + "\n"
    plain = re.compile(r"\[[^\[\]{}]*\]")
    entry = re.compile(r"\{\s*\"type\": \"\w+\",\s*\"args\": \{[^{}]*\}\s*\}")
    for short in (plain, entry):
        text = short.sub(lambda match: _on_one_line(match[0]), text)
    return text.encode()


def _on_one_line(text: str) -> str:
    line = json.dumps(json.loads(text), ensure_ascii=False)
    return line if len(line) <= MAX_LINE else text
