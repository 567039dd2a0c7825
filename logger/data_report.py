"""A first look at fresh data, once per run and cheap: what is in it, and what is likely to go wrong."""

import logging
from typing import Any

import torch
from torch import Tensor

from utils.seed import random_state, set_random_state

MAX_SAMPLES = 1000  # looked at, if they lie in memory
MAX_SAMPLES_READ = 32  # looked at, if each must be read
LARGE = 100.0  # values beyond it make the first steps of most optimizers too large
IMBALANCE = 10.0

logger = logging.getLogger(__name__)


def report_data(data_loader: Any) -> None:
    """Log shapes, types, ranges and classes of a BaseDataLoader's training data, and warn of what looks wrong.

    Looks at up to 1,000 samples in memory, or 32 that are read one by one. Batches that are no pair of tensors are
    not judged.
    """
    batch = _first_samples(data_loader)
    if not (isinstance(batch, list | tuple) and len(batch) == 2 and all(isinstance(part, Tensor) for part in batch)):
        return
    data, target = batch
    logger.info(
        "Data: %d training samples; data %s, target %s%s",
        data_loader.n_samples,
        _describe(data),
        _describe(target),
        _describe_classes(target) if _are_classes(target) else "",
    )
    for advice in [*_judge_data(data), *_judge_target(target)]:
        logger.warning("Data: %s", advice)


def _first_samples(data_loader: Any) -> Any:
    indices = data_loader.sampler.indices
    n_samples = min(len(indices), MAX_SAMPLES if data_loader.in_memory else MAX_SAMPLES_READ)
    indices = indices[torch.linspace(0, len(indices) - 1, n_samples).long()]  # data are often sorted by class
    if not data_loader.in_memory:
        return data_loader.dataset.__getitems__([(0, index) for index in indices.tolist()])
    before = random_state()  # a transform may draw from it, and the training must not notice
    batch = data_loader.samples.get_batch(indices)
    set_random_state(before)
    return batch


def _describe(batch: Tensor) -> str:
    text = f"{str(batch.dtype).removeprefix('torch.')} {tuple(batch.shape[1:])}"
    if not batch.is_floating_point():
        return f"{text} from {batch.min()} to {batch.max()}"
    known = batch[batch.isfinite()].double()
    if len(known) == 0:
        return f"{text} without a finite value"
    spread = f"mean {known.mean():.4g}, std {known.std(correction=0):.4g}"
    return f"{text} from {known.min():.4g} to {known.max():.4g}, {spread}"


def _describe_classes(target: Tensor) -> str:
    """How often the classes are among the samples looked at."""
    counts = target.unique(return_counts=True)[1]
    return f", {len(counts)} classes, of {len(target)} samples {counts.min()} to {counts.max()} in each"


def _judge_data(data: Tensor) -> list[str]:
    advice = []
    if data.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        advice.append(f"the data are {data.dtype}, which most layers refuse; convert them in the dataset's transform.")
    n_bad = int((~data.isfinite()).reshape(len(data), -1).any(dim=1).sum())
    if n_bad:
        advice.append(
            f"{n_bad} of {len(data)} samples hold NaN or infinity; one is enough for a loss of NaN. Fill or drop them."
        )
    if data.is_floating_point() and data.nan_to_num(0, 0, 0).abs().max() > LARGE:
        advice.append(
            f"there are values beyond {LARGE:g}; scale the features to about mean 0 and standard deviation 1."
        )
    if data.dim() == 2 and len(data) > 1:
        constant = (data == data[0]).all(dim=0).nonzero().flatten().tolist()
        if constant:
            advice.append(
                f"these features are the same in every sample looked at: {constant[:10]}; they teach nothing."
            )
    return advice


def _are_classes(target: Tensor) -> bool:
    return not target.is_floating_point() and target.dim() == 1 and len(target) > 1


def _judge_target(target: Tensor) -> list[str]:
    n_bad = int((~target.isfinite()).reshape(len(target), -1).any(dim=1).sum())
    if n_bad:
        return [f"{n_bad} of {len(target)} targets are NaN or infinite, and so will the loss be. Drop these samples."]
    if not _are_classes(target):
        return []
    classes, counts = target.unique(return_counts=True)
    if len(classes) == 1:
        return [f"every target looked at is {classes[0]}; there is nothing to tell apart."]
    if counts.max() > IMBALANCE * counts.min():
        rare, common = classes[counts.argmin()], classes[counts.argmax()]
        return [
            f"class {common} is {counts.max() / counts.min():.0f} times as frequent as class {rare}; accuracy will "
            'mislead. Log macro_f1 too, and split with "stratify": true.'
        ]
    return []
