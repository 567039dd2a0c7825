"""A first look at fresh data, once per run and cheap: what is in it, and what is likely to go wrong."""

import logging
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)


def report_data(data_loader: Any, valid_data_loader: Any = None) -> None:
    """Log shapes, types and ranges of a BaseDataLoader's training data, and warn of what looks wrong."""
    most = 200 if data_loader.in_memory else 32
    order = torch.randperm(len(data_loader.sampler.indices), generator=torch.Generator().manual_seed(0))
    indices = data_loader.sampler.indices[order[:most]]
    batch = data_loader.read(indices)
    if isinstance(batch, list | tuple) and len(batch) == 2 and all(isinstance(part, Tensor) for part in batch):
        n_valid = 0 if valid_data_loader is None else valid_data_loader.n_samples
        logger.info("Data: %d training samples, %d for validation; data %s; target %s", data_loader.n_samples, n_valid,
                    *map(_describe, batch))  # fmt: skip
        _warn_of_faults(*batch)


def _describe(part: Tensor) -> str:
    text = f"{str(part.dtype).removeprefix('torch.')} {tuple(part.shape[1:])} from {part.min():.4g} to {part.max():.4g}"
    return text if part.is_floating_point() else f"{text}, {len(part.unique())} different values"


def _warn_of_faults(data: Tensor, target: Tensor) -> None:
    if data.dtype in (torch.float64, torch.uint8):
        logger.warning("Data: most layers refuse %s; convert the data in the dataset's transform.", data.dtype)
    if not (data.isfinite().all() and target.isfinite().all()):
        logger.warning("Data: data or targets hold NaN or infinity, and so will the loss.")
    if not target.is_floating_point() and target.dim() == 1:
        counts = target.unique(return_counts=True)[1]
        if len(counts) == 1 < len(target):
            logger.warning("Data: every target looked at is %d; there is nothing to tell apart.", target[0])
        if (ratio := counts.max() / counts.min()) > 10:
            logger.warning("Data: one class is %d times as frequent as another; log macro_f1, and stratify.", ratio)
