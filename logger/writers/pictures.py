"""What writers need that draw pictures only."""

from typing import Any

import numpy as np
import torch


def to_bytes(image: Any) -> np.ndarray:
    """An image, (channels, height, width), bytes or floats in [0, 1], as bytes (height, width, 3 or 4)."""
    tensor = torch.as_tensor(image).detach().cpu()
    if tensor.is_floating_point():
        tensor = (tensor.clamp(0, 1) * 255).round()
    tensor = tensor.to(torch.uint8)
    return (tensor.repeat(3, 1, 1) if len(tensor) == 1 else tensor).permute(1, 2, 0).numpy()


def draw_histogram(values: Any) -> Any:
    """A figure of matplotlib of how numbers are distributed."""
    from logger.figures import new_figure

    figure, axes = new_figure(width=5, height=3)
    axes.hist(torch.as_tensor(values).detach().cpu().float().flatten().numpy(), bins=50)
    return figure


def draw_pr_curve(labels: Any, predictions: Any) -> Any:
    """A figure of matplotlib of precision against recall."""
    from sklearn.metrics import precision_recall_curve

    from logger.figures import new_figure

    precision, recall, _ = precision_recall_curve(np.asarray(labels), np.asarray(predictions))
    figure, axes = new_figure(width=5, height=4)
    axes.step(recall, precision, where="post")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    return figure
