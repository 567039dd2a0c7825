"""Where to compute."""

import logging
import os

import torch

from utils.errors import UserError

logger = logging.getLogger(__name__)


def prepare_device(wanted: str | None, n_gpu: int = 1) -> torch.device:
    """The device of `-d`, which may be a GPU's number; without one an accelerator, if there is one and n_gpu > 0."""
    accelerator = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    if wanted is None:
        if n_gpu > 1 and "LOCAL_RANK" not in os.environ:  # else torchrun has started a process for each
            logger.warning("n_gpu is %d: this run uses one device.", n_gpu)
        return accelerator if n_gpu > 0 else torch.device("cpu")
    try:
        device = torch.device(f"cuda:{int(wanted)}" if wanted.isdecimal() else wanted)
    except RuntimeError:
        raise UserError(f"-d {wanted}: unknown device; use cpu, cuda, cuda:1, mps, xpu or a GPU's number") from None
    found = {accelerator.type: torch.accelerator.device_count()} | {"cpu": 1}
    if (device.index or 0) >= found.get(device.type, 0):
        raise UserError(f"-d {wanted}: there is no such device; torch sees {found.get(device.type, 0)} x {device.type}")
    return device
