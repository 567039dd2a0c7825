"""What the data decide: "auto" sizes in `arch.args`, "balanced" class weights in `loss.args` become numbers."""

import math
import re
from typing import Any

import torch
from torch import Tensor

from utils.config import definitions, named
from utils.data import class_numbers
from utils.errors import ConfigError

MEANINGS = {  # which size an argument means: the first of these that is found in its name
    r"class|(^|_)out": "outputs",
    r"channel": "channels",
    r"(image|img)_size": "side",
    r"(^|_)in(put)?s?(_|$)|^(n_|num_)?features$": "inputs",
}


def fill_sizes(config: dict[str, Any], data_loader: Any) -> None:
    """Put a number in place of every "auto" in `arch.args`: of num_classes the data's number of classes or values, of
    in_channels that of channels; of a list, such as an MLP's sizes, first the number of inputs and last of outputs.

    Raises ConfigError, naming the key, where the name does not say what is meant, or the data do not.
    """
    if "'auto'" not in str(config["arch"]):
        return
    sizes = sizes_of(data_loader)
    for model, arch in named(config["arch"]).items():
        known = definitions("model")[arch["type"]].parameters[0]
        for name, value in arch.get("args", {}).items():
            if (
                value != "auto" or name not in known or "str" not in known[name].annotation
            ):  # it may take the word itself
                path = f"arch.{model}.args.{name}".replace("..", ".")
                arch["args"][name] = _filled(value, name, path, sizes)


def sizes_of(data_loader: Any) -> dict[str, int | None]:
    """Of one sample: `inputs`, the `channels` and the `side` of a square image, and `outputs`; None where unclear."""
    data, target = data_loader.read(data_loader.all_indices[:1])[:2]
    shape = list(data.shape[1:]) if isinstance(data, Tensor) else []
    return {
        "inputs": math.prod(shape) if shape else None,
        "channels": shape[0] if len(shape) > 1 else None,
        "side": shape[-1] if len(shape) == 3 and shape[-1] == shape[-2] else None,
        "outputs": _n_outputs(data_loader, target),
    }


def _n_outputs(data_loader: Any, target: Any) -> int | None:
    """The number of classes, or of the values of one target."""
    if data_loader.classes:
        return len(data_loader.classes)
    if not isinstance(target, Tensor):
        return None
    if target.is_floating_point():
        return math.prod(target.shape[1:])
    labels = torch.as_tensor(getattr(data_loader.samples, "target", ()))
    return int(labels.max()) + 1 if labels.dim() == 1 and len(labels) > 0 else None


def _filled(value: Any, name: str, path: str, sizes: dict[str, int | None]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, key, f"{path}.{key}", sizes) for key, item in value.items()}
    if isinstance(value, list):
        names = {0: "inputs", len(value) - 1: "outputs"}
        return [_filled(item, names.get(i, ""), f"{path}.{i}", sizes) for i, item in enumerate(value)]
    if value != "auto":
        return value
    meaning = next((meaning for words, meaning in MEANINGS.items() if re.search(words, name)), None)
    size = sizes[meaning] if meaning else None
    if size is None:
        why = f"the data do not tell the {meaning}" if meaning else "it is not clear which size is meant"
        raise ConfigError(path, [f'"auto": {why}; write the number'])
    return size


def fill_weights(config: dict[str, Any], data_loader: Any) -> None:
    """Put numbers in place of "balanced", so that a test and a resumed run have the same ones."""
    for loss in named(config["loss"]).values():
        arguments = loss.get("args", {}) if isinstance(loss, dict) else {}
        for name in [name for name in ("weight", "pos_weight") if arguments.get(name) == "balanced"]:
            try:
                arguments[name] = class_weights(data_loader, name)
            except ValueError as error:
                raise ConfigError(f"loss.args.{name}", [str(error)]) from error


def class_weights(data_loader: Any, name: str) -> list[float]:
    """How much a sample of each class counts if all classes shall count alike in the training samples of a loader.

    name: "weight", n / (classes * n of the class), as scikit-learn's "balanced"; "pos_weight", that of class 1 if that
    of class 0 is 1. Raises ValueError if the loader's dataset has no class numbers, or for pos_weight others than two.
    """
    labels = class_numbers(data_loader.samples, f'"{name}": "balanced"').long()
    counts = labels[data_loader.sampler.indices].bincount(minlength=int(labels.max()) + 1).clamp(min=1).double()
    if name == "weight":
        return (counts.mean() / counts).tolist()
    if len(counts) != 2:
        raise ValueError(f"it is of two classes, and there are {len(counts)}")
    return [float(counts[0] / counts[1])]
