"""Where to compute, and with how many CPU threads."""

import logging
import os

import torch
from torch import nn

from utils.errors import UserError

WORTH = 20_000_000  # multiplications of a forward pass from which a second thread makes the step faster
logger = logging.getLogger(__name__)


def prepare_device(wanted: str | None, n_gpu: int = 1) -> torch.device:
    """The device that was asked for, else an accelerator if `n_gpu` allows one and there is one, else the CPU.

    wanted: cpu, cuda, cuda:1, mps, xpu, or a GPU's number.
    Raises UserError for a device that does not exist here.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if wanted is None:
        if n_gpu > 1:
            logger.warning("n_gpu is %d: this run uses one device.", n_gpu)
        return accelerator if accelerator is not None and n_gpu > 0 else torch.device("cpu")
    try:
        device = torch.device(f"cuda:{int(wanted)}" if wanted.isdecimal() else wanted)
    except RuntimeError:
        raise UserError(f"-d {wanted}: unknown device; use cpu, cuda, cuda:1, mps or a GPU's number") from None
    n_found = torch.accelerator.device_count() if accelerator is not None and device.type == accelerator.type else 0
    if (device.index or 0) >= (1 if device.type == "cpu" else n_found):
        found = f"the CPU and {n_found} x {device.type}" if n_found else "the CPU"
        raise UserError(f"-d {wanted}: there is no such device; torch sees {found}")
    return device


def set_threads(wanted: int | None, model: nn.Module, batch_size: int | None) -> None:
    """Use so many CPU threads; None: 1 for a small network on vectors, where more cost more than they save.

    A rule and not a measurement: the number of threads changes how sums are rounded, and the same run shall give the
    same result whatever else the machine is doing.
    """
    parameters = list(model.parameters())
    uses_weights_once = all(parameter.dim() <= 2 for parameter in parameters) and not any(
        isinstance(layer, nn.RNNBase | nn.MultiheadAttention | nn.Embedding) for layer in model.modules()
    )
    n_multiplications = (batch_size or 1) * sum(parameter.numel() for parameter in parameters)
    if wanted is not None:
        torch.set_num_threads(min(wanted, os.cpu_count() or wanted))
    elif uses_weights_once and n_multiplications < WORTH:
        torch.set_num_threads(1)
