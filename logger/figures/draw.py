"""The pictures of a test, each a PNG in a folder."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from logger.figures.classes import confusion_matrix, most_wrong, reliability, roc_and_pr
from logger.figures.curves import curves
from logger.figures.images import image_grid, is_images
from logger.figures.predictions import Head, heads_of
from logger.figures.style import in_style, save_figure
from logger.figures.values import fitted_curve, predicted_and_true, residuals
from utils.data import n_samples

N_WRONG = 24
N_IMAGES = 32
N_POINTS = 2000  # of a fitted curve


def draw_figures(
    folder: Path, batch: tuple[Any, Any] | None, data_loader: Any, untrained: Callable[[], nn.Module], monitor: str
) -> list[Path]:
    """Draw all that there is to draw into a folder, and return the pictures; those of an earlier test are replaced.

    batch: all outputs and targets, from `Predictions`; None: only curves and samples.
    data_loader: the test's, which reads the samples of some pictures once more.
    untrained: makes the model as it was before training, for a fitted curve.
    monitor: as in the config. The curves are those of metrics.jsonl beside the folder, if it is there.
    """
    if folder.is_symlink():
        folder.unlink()
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.png"):
        path.unlink()
    paths = []
    with in_style():
        for name, figure in _figures(folder, batch, data_loader, untrained, monitor):
            if figure is not None:
                paths.append(folder / f"{name}.png")
                save_figure(figure, paths[-1])
    return paths


def _figures(
    folder: Path, batch: tuple[Any, Any] | None, data_loader: Any, untrained: Callable[[], nn.Module], monitor: str
) -> Iterator[tuple[str, Any]]:
    """Each figure with its name, one after the other; None for one that cannot be drawn of these samples."""
    yield "curves", curves(_records(folder.parent / "metrics.jsonl"), monitor)
    indices = data_loader.sampler.indices
    first = _data(data_loader, indices[:N_IMAGES])
    if is_images(first):
        yield "samples", image_grid(first)
    for head in heads_of(*batch, getattr(data_loader, "classes", ())) if batch else []:
        prefix = f"{_file_name(head.name)}_" if head.name else ""
        if head.target is None or len(head.target) == 0:
            continue
        if head.kind == "classes":
            yield f"{prefix}confusion_matrix", confusion_matrix(head)
            if is_images(first):
                yield f"{prefix}most_wrong", _most_wrong_images(head, data_loader)
            yield f"{prefix}roc_and_pr", roc_and_pr(head)
            yield f"{prefix}reliability", reliability(head)
        elif head.kind == "values" and head.target.shape == head.prediction.shape and head.target.shape[1] <= 100:
            yield f"{prefix}predicted_and_true", predicted_and_true(head)
            yield f"{prefix}residuals", residuals(head)
            if isinstance(first, Tensor) and first[0].numel() == 1 == head.target.shape[1] and not head.name:
                yield "fitted_curve", _fitted_curve(head, data_loader, untrained())


def _records(path: Path) -> list[dict[str, Any]]:
    """The records of metrics.jsonl that can be read."""
    records = []
    for line in path.read_bytes().split(b"\n") if path.is_file() else []:
        try:
            record = json.loads(line)
        except (RecursionError, ValueError):
            continue
        if isinstance(record, dict) and isinstance(record.get("epoch"), int):
            records.append(record)
    return records


def _data(data_loader: Any, indices: Tensor) -> Any:
    """The inputs of some samples."""
    batch = data_loader.read(indices) if len(indices) else None
    return batch[0] if isinstance(batch, list | tuple) and batch else None


def _most_wrong_images(head: Head, data_loader: Any) -> Any:
    chosen = most_wrong(head, N_WRONG)
    if len(chosen) == 0:
        return None
    titles = []
    for sample in chosen.tolist():
        truth, said = head.describe(sample)
        titles.append(f"{_short(truth)}\nsaid {_short(said)} ({head.prediction[sample].max():.0%})")
    return image_grid(_data(data_loader, data_loader.sampler.indices[torch.from_numpy(chosen)]), titles)


@torch.no_grad()
def _fitted_curve(head: Head, data_loader: Any, untrained: nn.Module) -> Any:
    assert head.target is not None
    chosen = torch.arange(len(head.target))[:: -(-len(head.target) // N_POINTS)]
    x = _data(data_loader, data_loader.sampler.indices[chosen])
    first = untrained.eval()(x)
    first = first.flatten().numpy() if isinstance(first, Tensor) and n_samples(first) == first.numel() else None
    rows = chosen.numpy()
    return fitted_curve(x.flatten().numpy(), head.target[rows, 0], first, head.prediction[rows, 0].astype(np.float64))


def _short(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:13]}…"


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)[:60]
