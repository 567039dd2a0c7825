"""Pictures of the samples themselves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from logger.figures.style import GREEN, INK, VERMILLION, new_figure


def is_images(data: Any) -> bool:
    """Whether a batch is of images: (samples, channels, height, width) with 1, 3 or 4 channels."""
    return isinstance(data, Tensor) and data.dim() == 4 and data.shape[1] in (1, 3, 4) and min(data.shape[2:]) > 1


def image_grid(images: Tensor, titles: Sequence[str] = (), are_right: Sequence[bool] = ()) -> Any:
    """A figure of some images, (samples, channels, height, width), as a model sees them.

    The smallest number of all is black, or 0, the largest white. are_right: which titles are green, and not red.
    """
    n_columns = min(len(images), 8 if len(images) > 12 else 6)
    n_rows = -(-len(images) // n_columns)
    has_titles = len(titles) > 0
    height = n_rows * (1.55 if has_titles else 1.15) + 0.2
    figure, axes = new_figure(n_rows, n_columns, width=1.25 * n_columns, height=height, squeeze=False)
    for place in axes.flat:
        place.axis("off")
    for i, (place, pixels) in enumerate(zip(axes.flat, _to_show(images), strict=False)):
        place.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest" if len(pixels) < 100 else None)
        if has_titles:
            color = INK if not are_right else GREEN if are_right[i] else VERMILLION
            place.set_title(titles[i], fontsize=7.5, fontweight="normal", loc="center", pad=3, color=color)
    return figure


def _to_show(images: Tensor) -> np.ndarray:
    """The images as floats in [0, 1], (samples, height, width[, 3 or 4])."""
    pixels = torch.nan_to_num(images.detach().cpu().float(), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = pixels.min(), pixels.max()
    pixels = (pixels - low) / (high - low) if high > low else pixels * 0
    return pixels.squeeze(1).numpy() if pixels.shape[1] == 1 else pixels.permute(0, 2, 3, 1).numpy()
