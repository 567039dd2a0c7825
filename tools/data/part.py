"""The samples of training, validation and test, read once, as a model sees them."""

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from utils.data import map_tensors
from utils.errors import UserError

MAX_NUMBERS = 50_000_000  # that are read of a part held in memory, about 200 MB
MAX_SAMPLES = 2000  # that are read of a part whose samples are files or the like
CHUNK = 256


@dataclass
class Part:
    """What was read of a part. data, target: each a tensor with a row per sample, or None where it is something else.

    hashes: of each sample's data. n_samples: all there are; `n_read` of them, drawn at random, were read.
    """

    name: str
    n_samples: int
    hashes: list[bytes]
    data: Tensor | None
    target: Tensor | None
    example: str  # one sample in words

    @property
    def n_read(self) -> int:
        return len(self.hashes)


def read_part(name: str, loader: Any) -> Part:
    """Read a loader's samples, all or so many that it takes seconds. Raises UserError if one cannot be read."""
    indices = loader.sampler.indices
    order = torch.randperm(len(indices), generator=torch.Generator().manual_seed(0))
    batch = loader.read(indices[order[:1]])
    most = MAX_NUMBERS // max(1, _n_numbers(batch)) if loader.in_memory else MAX_SAMPLES
    indices = indices[order[: max(1, most)].sort().values]
    parts, hashes = [], []
    is_pair = _is_pair(batch)
    for chunk in indices.split(CHUNK if is_pair else 1):  # what is padded to its batch's length is read one by one
        batch = loader.read(chunk)
        parts.append(batch)
        hashes += [_hash(row) for row in batch[0]] if is_pair else [_hash(_input(batch))]
    data, target = (_together([part[i] for part in parts]) for i in (0, 1)) if is_pair else (None, _targets(parts))
    return Part(name, len(loader.sampler.indices), hashes, data, target, _in_words(loader.read(indices[:1])))


def _is_pair(batch: Any) -> bool:
    return isinstance(batch, list | tuple) and len(batch) == 2 and all(isinstance(part, Tensor) for part in batch)


def _input(batch: Any) -> Any:
    return batch[0] if isinstance(batch, list | tuple) and len(batch) > 1 else batch


def _targets(batches: list[Any]) -> Tensor | None:
    """The targets of batches whose data is no tensor."""
    targets = [batch[1] for batch in batches if isinstance(batch, list | tuple) and len(batch) > 1]
    return _together(targets) if targets and all(isinstance(target, Tensor) for target in targets) else None


def _together(tensors: list[Tensor]) -> Tensor | None:
    """One tensor of all samples; None where they have not the same shape."""
    return torch.cat(tensors).cpu() if len({tensor.shape[1:] for tensor in tensors}) == 1 else None


def _n_numbers(batch: Any) -> int:
    counts: list[int] = []
    map_tensors(lambda tensor: counts.append(tensor.numel()), batch)
    return sum(counts)


def _hash(value: Any) -> bytes:
    found = hashlib.blake2b(digest_size=16)

    def update(tensor: Tensor) -> None:
        found.update(f"{tensor.dtype}{list(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())

    map_tensors(update, value)
    return found.digest()


def _in_words(batch: Any) -> str:
    """What one sample is: "1 x 8 x 8 numbers (float32)", or the parts of a dict by name."""
    data = _input(batch)
    if isinstance(data, dict):
        return ", ".join(f"{name}: {_in_words(value)}" for name, value in data.items())
    if not isinstance(data, Tensor):
        return f"a {type(data).__name__}"
    size = " x ".join(map(str, data.shape[1:]))
    kind = str(data.dtype).removeprefix("torch.")
    return f"one number ({kind})" if size in ("", "1") else f"{size} numbers ({kind})"


def read_parts(loaders: dict[str, Any]) -> tuple[list[Part], list[str]]:
    """Each part that can be read, and what cannot, in words."""
    parts, faults = [], []
    for name, loader in loaders.items():
        try:
            parts.append(read_part(name, loader))
        except UserError as error:
            faults.append(f"The {name} part cannot be read: {error}")
    return parts, faults
