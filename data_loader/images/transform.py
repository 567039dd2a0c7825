"""Transforms of torchvision, and which of them need to be done only once."""

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

from data_loader.transforms import make_step

Entries = Sequence[dict[str, Any]]  # {"type": "Resize", "args": {"size": [64, 64]}}, ...
FIXED = ("Resize", "CenterCrop", "Pad", "Grayscale", "RGB")  # they do the same each time, with bytes


def make_steps(entries: Entries, key: str) -> list[Callable[[Tensor], Tensor]]:
    """The transforms that these entries name. key: what to call the entries in an error.

    Raises ValueError for a name that is no transform of torchvision.transforms.v2, or arguments it does not take.
    """
    from torchvision.transforms import v2

    known = {
        name: value
        for name, value in vars(v2).items()
        if isinstance(value, type) and issubclass(value, v2.Transform) and value is not v2.Transform
    }
    return [make_step(entry, known, f"{key}.{i}") for i, entry in enumerate(entries)]


def to_floats(steps: Sequence[Callable[[Tensor], Tensor]]) -> Callable[[Tensor], Tensor]:
    """Steps from bytes to float32, of images or batches of them, in [0, 1] before a Normalize."""
    from torchvision.transforms import v2

    first_float = next((i for i, step in enumerate(steps) if isinstance(step, v2.Normalize)), len(steps))
    return v2.Compose([*steps[:first_float], v2.ToDtype(torch.float32, scale=True), *steps[first_float:]])


def n_for_batches(entries: Entries, others: Entries) -> int:
    """How many transforms two lists end with alike that can be done to a whole batch, faster and with the same result:
    one Normalize, if it is the only one.
    """
    names = [entry.get("type") for entry in (*entries, *others)]
    return int(names.count("Normalize") == 2 and entries[-1:] == others[-1:] and names[-1] == "Normalize")


def n_fixed(entries: Entries, others: Entries) -> int:
    """How many transforms two lists begin with alike that are fixed."""
    both = zip(entries, others, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1] and pair[0].get("type") in FIXED, both))


def shape_of_all(steps: Sequence[Callable[[Tensor], Tensor]]) -> tuple[int, ...] | None:
    """The shape that these transforms give images of every size; None if there is no such one."""
    shapes = set()
    for size in ((40, 60), (97, 31)):
        image: Any = torch.zeros(3, *size, dtype=torch.uint8)
        for step in steps:
            image = step(image)
        if not isinstance(image, Tensor) or image.dtype != torch.uint8:
            return None
        shapes.add(tuple(image.shape))
    return shapes.pop() if len(shapes) == 1 else None
