"""Where to compute."""

import torch

from utils.errors import UserError


def prepare_device(wanted: str | None, n_gpu: int, threads: int | None) -> torch.device:
    """The device that was asked for, else a GPU if `n_gpu` allows one and there is one, else the CPU.

    threads: how many CPU threads torch uses; None: its own choice, one per core.
    Raises UserError for a device that does not exist here.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    if wanted is None:
        return torch.device("cuda" if n_gpu > 0 and torch.cuda.is_available() else "cpu")
    name, _, number = wanted.partition(":")
    if name not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise UserError(f"-d {wanted}: unknown device; use cpu, cuda or cuda:1")
    n_found = torch.cuda.device_count() if name == "cuda" else 1
    if int(number or 0) >= n_found:
        found = "no GPU" if n_found == 0 or name == "cpu" else f"{n_found} GPU(s), cuda:0 to cuda:{n_found - 1}"
        raise UserError(f"-d {wanted}: there is no such device; torch sees the CPU and {found}")
    return torch.device(wanted)
