"""What is done to images on their way to the model, a whole batch at once.

The Random ones do something else to each image, though they call no function per image; torchvision's would do the
same to the whole batch. They are given their random numbers, so that an image's augmentation depends on nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from utils.data import to_device
from utils.errors import did_you_mean


class Normalize:
    """Bytes (batch, channels, height, width) as float32: divided by 255, minus the mean, over the standard deviation.

    mean, std: of the pixels in [0, 1]; one number, or one for each channel.
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]):
        self.mean, self.std = (torch.tensor(value, dtype=torch.float32).view(-1, 1, 1) for value in (mean, std))

    def __call__(self, images: Tensor) -> Tensor:
        if self.mean.device != images.device:
            self.mean, self.std = to_device([self.mean, self.std], images.device)
        return images.to(torch.float32).div_(255).sub_(self.mean).div_(self.std)


class RandomCrop:
    """Pad each image with zeros, then cut a window of its old size from a random place.

    padding: pixels on every side.
    Call: images of any type, (batch, channels, height, width), and draws in [0, 1), (batch, 2) -> images.
    """

    n_draws = 2

    def __init__(self, padding: int):
        if not isinstance(padding, int) or padding < 1:
            raise ValueError(f"padding is {padding}; it must be a whole number, at least 1")
        self.padding = padding

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        n, channels, height, width = images.shape
        p = self.padding
        top, left = (draws * (2 * p + 1)).long().unbind(1)
        padded = F.pad(images, (p, p, p, p, 0, 0, 0, 1)).contiguous()  # one image more, for the last window's end
        # To cut at (top, left) is to begin that much later in memory: one copy per image, whatever its window.
        size, row = padded[0].numel(), width + 2 * p
        every_start = padded.as_strided((n * size, size), (1, 1))
        starts = torch.arange(n, device=images.device) * size + top * row + left
        windows = every_start.index_select(0, starts).view(n, channels, height + 2 * p, row)
        return windows[:, :, :height, :width]


class RandomHorizontalFlip:
    """Mirror some of the images, left to right.

    p: the probability for each image.
    Call: images of any type, (batch, channels, height, width), and draws in [0, 1), (batch, 1) -> images.
    """

    n_draws = 1

    def __init__(self, p: float = 0.5):
        if not 0 <= p <= 1:
            raise ValueError(f"p is {p}; it must be a probability from 0 to 1")
        self.p = p

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        both = torch.cat([images, images.flip(-1)])  # choosing whole images is several times faster than torch.where
        flipped = draws[:, 0] < self.p
        return both.index_select(0, torch.arange(len(images), device=images.device) + len(images) * flipped)


AUGMENTATIONS = {kind.__name__: kind for kind in (RandomCrop, RandomHorizontalFlip)}


class Augmentation:
    """Several augmentations in a row, as InMemoryDataset's `augment`.

    entries: which ones, as {"type": "RandomCrop", "args": {"padding": 4}}.
    Raises ValueError for one that does not exist, or arguments it does not take.
    """

    def __init__(self, entries: Sequence[dict[str, Any]]):
        self.steps = [make_step(entry, AUGMENTATIONS, f"augment.{i}") for i, entry in enumerate(entries)]
        self.n_draws = sum(step.n_draws for step in self.steps)

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        for step, own in zip(self.steps, draws.split([step.n_draws for step in self.steps], dim=1), strict=True):
            images = step(images, own)
        return images


def make_step(entry: dict[str, Any], known: Mapping[str, Callable], key: str) -> Callable:
    """The transform that {"type": ..., "args": {...}} names among the known ones, and no other code.

    key: what to call the entry in an error. Raises ValueError for an unknown name, or arguments that it does not take.
    """
    name, arguments = entry.get("type"), entry.get("args", {})
    if entry.keys() - {"type", "args"} or not isinstance(name, str) or not isinstance(arguments, dict):
        raise ValueError(f'{key}: {entry} is not {{"type": ..., "args": {{...}}}}')
    if name not in known:
        nearest = did_you_mean(name, known)
        raise ValueError(f"{key}.type: {name!r} is unknown{nearest}; transforms are {', '.join(sorted(known))}")
    try:
        return known[name](**arguments)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{key}.args: {name}: {error}") from error
