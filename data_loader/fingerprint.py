"""Are these the samples of before? A number and a hash, cheap for any dataset."""

import hashlib
import logging
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from utils.data import map_tensors

N_LOOKED_AT = 16
logger = logging.getLogger(__name__)


class DataState:
    """What a checkpoint holds of the training's data loader: what was learnt from the samples, and which they were."""

    def __init__(self, data_loader: Any):
        self.data_loader = data_loader

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        return fingerprint(self.data_loader)

    def state_dict(self) -> dict[str, Any]:
        return {"fitted": dict(self.data_loader.fitted), "fingerprint": self.fingerprint}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Warn if the samples were other ones. What was learnt from them was given to the data loader before."""
        then, now = state["fingerprint"], self.fingerprint
        n_then, n_now = then["n_samples"], now["n_samples"]
        if then != now:
            order = "other samples, or another order; sort what comes of a set or a folder, such as files"
            what = f"{n_then} samples then, {n_now} now" if n_then != n_now else order
            logger.warning("The training data are no longer those of the checkpoint: %s.", what)


def fingerprint(data_loader: Any) -> dict[str, Any]:
    """How many samples a loader has, with those for validation, and a hash of a few evenly spaced ones."""
    indices, found = data_loader.all_indices, hashlib.blake2b(digest_size=16)
    for place in torch.linspace(0, len(indices) - 1, min(N_LOOKED_AT, len(indices))).long():
        map_tensors(lambda tensor: found.update(_bytes(tensor)), data_loader.read(indices[place, None]))
    return {"n_samples": len(indices), "hash": found.hexdigest()}


def _bytes(tensor: Tensor) -> bytes:
    words = f"{tensor.dtype} {list(tensor.shape)}".encode()
    return words + tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()
