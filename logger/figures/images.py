"""Pictures of the samples themselves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logger.figures.style import GREEN, INK, VERMILLION, new_figure

INCHES = 1.15  # of an image's longer side
GAP = 0.08  # between two images, as a share of their size
TITLE = 0.32  # the room for two lines above one, likewise


def is_images(data: Any) -> bool:
    """Whether a batch is of images: (samples, channels, height, width) with 1, 3 or 4 channels."""
    return isinstance(data, Tensor) and data.dim() == 4 and data.shape[1] in (1, 3, 4) and min(data.shape[2:]) > 1


def image_grid(images: Tensor, titles: Sequence[str] = (), are_right: Sequence[bool] = ()) -> Any:
    """A figure of some images, (samples, channels, height, width), as a model sees them.

    The smallest number of all is black, the largest white. are_right: which titles are green; the others are red.
    """
    n, height, width = len(images), images.shape[2], images.shape[3]
    n_columns = min(n, 8 if n > 12 else 6)
    n_rows = -(-n // n_columns)
    scale = max(height, width)
    right, down = width / scale + GAP, height / scale + GAP + (TITLE if titles else 0)
    figure, axes = new_figure(width=INCHES * n_columns * right + 0.2, height=INCHES * n_rows * down + 0.2)
    for i, pixels in enumerate(_to_show(images)):
        left, bottom = (i % n_columns) * right, -(i // n_columns + 1) * down
        place = (left, left + width / scale, bottom, bottom + height / scale)
        axes.imshow(pixels, extent=place, cmap="gray", vmin=0, vmax=1, interpolation="nearest" if scale < 100 else None)
        if titles:
            color = INK if not are_right else GREEN if are_right[i] else VERMILLION
            axes.text(left + width / scale / 2, bottom + height / scale + 0.03, titles[i], ha="center", va="bottom",
                      fontsize=8.5, linespacing=1.15, color=color)  # fmt: skip
    axes.set(xlim=(0, n_columns * right - GAP), ylim=(-n_rows * down, 0))
    axes.axis("off")
    return figure


def _to_show(images: Tensor) -> np.ndarray:
    """The images as floats in [0, 1], (samples, height, width[, 3 or 4])."""
    pixels = torch.nan_to_num(images.detach().cpu().float(), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = pixels.min(), pixels.max()
    pixels = (pixels - low) / (high - low) if high > low else pixels * 0
    return pixels.squeeze(1).numpy() if pixels.shape[1] == 1 else pixels.permute(0, 2, 3, 1).numpy()
