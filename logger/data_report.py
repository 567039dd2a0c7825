"""A first look at fresh data, once per run and cheap: what is in it, and what is likely to go wrong."""

import logging
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from utils.seed import random_state, set_random_state

MAX_SAMPLES, MAX_SAMPLES_READ = 1000, 32  # looked at: in memory, or if each must be read
LARGE = 100.0  # values beyond it make the first steps of most optimizers too large
IMBALANCE = 10.0

logger = logging.getLogger(__name__)


def report_data(data_loader: Any) -> None:
    """Log shapes, types and ranges of a BaseDataLoader's training data, and warn of what looks wrong."""
    before = random_state()  # a transform may draw from it, and the training must not notice
    batch = _first_samples(data_loader)
    set_random_state(before)
    if not (isinstance(batch, list | tuple) and len(batch) == 2 and all(isinstance(part, Tensor) for part in batch)):
        return
    logger.info("Data: %d training samples; data %s; target %s", data_loader.n_samples, *map(_describe, batch))
    for advice in _judge(*batch):
        logger.warning("Data: %s", advice)


def _first_samples(data_loader: Any) -> Any:
    indices, most = data_loader.sampler.indices, MAX_SAMPLES if data_loader.in_memory else MAX_SAMPLES_READ
    indices = indices[torch.randperm(len(indices), generator=torch.Generator().manual_seed(0))[:most]]
    if data_loader.in_memory:
        return data_loader.samples.get_batch(indices)
    return data_loader.dataset.__getitems__([(0, index) for index in indices.tolist()])


def _describe(batch: Tensor) -> str:
    text = f"{str(batch.dtype).removeprefix('torch.')} {tuple(batch.shape[1:])}"
    if not batch.is_floating_point():
        return f"{text} from {batch.min()} to {batch.max()}, {len(batch.unique())} different values"
    known = batch[batch.isfinite()]
    low, high = known.aminmax() if len(known) else (math.nan, math.nan)
    return f"{text} from {low:.4g} to {high:.4g}, mean {known.mean():.4g}"


def _judge(data: Tensor, target: Tensor) -> Iterator[str]:
    """What is likely to go wrong."""
    if data.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        yield f"the data are {data.dtype}, which most layers refuse; convert them in the dataset's transform."
    for name, batch in {"data": data, "targets": target}.items():
        if n_bad := int((~batch.isfinite()).reshape(len(batch), -1).any(dim=1).sum()):
            yield f"the {name} of {n_bad} of {len(batch)} samples hold NaN or infinity, and so will the loss."
    if data.is_floating_point() and data.nan_to_num(0, 0, 0).abs().max() > LARGE:
        yield f"there are values beyond {LARGE:g}; scale the features to about mean 0 and standard deviation 1."
    if target.is_floating_point() or target.dim() != 1:
        return
    classes, counts = target.unique(return_counts=True)
    rare, common, ratio = classes[counts.argmin()], classes[counts.argmax()], counts.max() / counts.min()
    if len(classes) == 1 < len(target):
        yield f"every target looked at is {common}; there is nothing to tell apart."
    if ratio > IMBALANCE:
        yield f"class {common} is {ratio:.0f} times as frequent as class {rare}; log macro_f1 too, and stratify."
