"""What is drawn after an epoch beside its numbers: the gradients' norm, and what `trainer.draw` asks for."""

import logging
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from logger.figures import heads_of, image_grid, is_images
from utils.data import to_device
from utils.seed import random_state, set_random_state

Drawing = Literal["graph", "histograms", "images", "pr_curves"]
N_SAMPLES = 1000  # of the validation data, that a PR curve is of
N_IMAGES = 16
MAX_CLASSES = 10  # that get a PR curve

logger = logging.getLogger(__name__)


def draw_extras(trainer: Any, what: Sequence[Drawing]) -> None:
    """Draw with `trainer.writer`; the training does not notice.

    The norm is that of the last step's gradients, before they are clipped. "graph": the model's layers, after the first
    epoch. "histograms": of weights and gradients. "images": a grid of validation images with predictions. "pr_curves":
    of at most ten classes, over at most 1,000 validation samples. The last two need a Trainer with data.
    """
    writer, parameters = trainer.writer, dict(trainer.model.named_parameters())
    gradients = {name: p.grad for name, p in parameters.items() if p.grad is not None}
    if gradients:
        norm = trainer.grad_norm if trainer.grad_norm is not None else get_total_norm(gradients.values())
        writer.add_scalar("grad_norm", float(norm))
    if "histograms" in what:
        for prefix, tensors in {"weights": parameters, "gradients": gradients}.items():
            for name, tensor in tensors.items():
                if tensor.isfinite().all():
                    writer.add_histogram(f"{prefix}/{name}", tensor.detach())
    if {"graph", "images", "pr_curves"} & set(what):
        before = random_state()
        _draw_predictions(trainer, what)
        set_random_state(before)
