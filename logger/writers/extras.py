"""What is drawn after an epoch beside its numbers: the gradients' norm, and what `trainer.draw` asks for."""

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from logger.figures import heads_of, image_grid, is_images
from utils.data import to_device
from utils.seed import random_state, set_random_state

N_SAMPLES = 1000  # of the validation data, that a PR curve is of
N_IMAGES = 16
MAX_CLASSES = 10  # that get a PR curve

logger = logging.getLogger(__name__)


def draw_extras(trainer: Any, what: Sequence[str]) -> None:
    """Draw with `trainer.writer`; the training does not notice.

    The norm is that of the last step's gradients, before they are clipped. "graph": the model's layers, after the first
    epoch. "histograms": of weights and gradients. "images": a grid of validation images with predictions. "pr_curves":
    of at most ten classes, over at most 1,000 validation samples. The last two need a Trainer with data.
    """
    writer, parameters = trainer.writer, dict(trainer.model.named_parameters())
    if any(hasattr(parameter, "full_tensor") for parameter in parameters.values()):
        return  # FSDP: other processes hold parts of it, and would have to take part
    gradients = {name: p.grad for name, p in parameters.items() if p.grad is not None}
    if gradients:
        norm = vars(trainer).get("grad_norm")
        writer.add_scalar("grad_norm", float(get_total_norm(gradients.values()) if norm is None else norm))
    if "histograms" in what:
        for prefix, tensors in {"weights": parameters, "gradients": gradients}.items():
            for name, tensor in tensors.items():
                if tensor.isfinite().all():
                    writer.add_histogram(f"{prefix}/{name}", tensor.detach())
    if {"graph", "images", "pr_curves"} & set(what):
        before = random_state()
        _draw_predictions(trainer, what)
        set_random_state(before)


def _draw_predictions(trainer: Any, what: Sequence[str]) -> None:
    """What needs data: the first validation samples, or training samples where there are none."""
    loader = trainer.valid_data_loader or trainer.data_loader
    if loader is None:
        logger.warning("trainer.draw: a trainer without data draws only histograms.")
        return
    batch = to_device(loader.read(loader.sampler.indices[:N_SAMPLES]), trainer.device)
    data = batch[0] if isinstance(batch, list | tuple) else None
    if "graph" in what and trainer.epoch == 1 and isinstance(data, Tensor):
        _draw_graph(trainer, data[:1])
    if not {"images", "pr_curves"} & set(what):
        return
    [head, *_] = heads_of(*_evaluate(trainer, batch), getattr(trainer.data_loader, "classes", ()))
    if "images" in what and isinstance(data, Tensor) and is_images(data):
        shown = [head.describe(i) for i in range(min(N_IMAGES, len(head.prediction)))]
        titles = [f"{truth}\nsaid {said}" for truth, said in shown]
        are_right = [truth == said for truth, said in shown] if head.kind == "classes" else []
        trainer.writer.add_figure("predictions", image_grid(data[: len(shown)], titles, are_right))
    if "pr_curves" in what and head.kind == "classes" and head.target is not None:
        for number in range(min(head.prediction.shape[1], MAX_CLASSES)):
            labels = head.target == number
            if labels.any() and not labels.all():
                name = head.class_name(number)
                trainer.writer.add_pr_curve(f"pr/{name}", labels, head.prediction[:, number])


def _draw_graph(trainer: Any, data: Tensor) -> None:
    """Once. A model that torch cannot trace has none."""
    was_training = trainer.model.training
    try:
        with warnings.catch_warnings(action="ignore"):  # of what torch.jit.trace leaves out, and that it is old
            trainer.writer.add_graph(trainer.model.eval(), data)
    except (RuntimeError, TypeError, ValueError) as error:
        logger.warning("trainer.draw: no graph of %s: %s", type(trainer.model).__name__, str(error).split("\n")[0])
    finally:
        trainer.model.train(was_training)


@torch.no_grad()
def _evaluate(trainer: Any, batch: Any) -> tuple[Any, Any]:
    """The outputs and targets of a batch, as in an evaluation, but on this process alone."""
    trained, trainer.model = trainer.model, trainer.evaluated_model
    was_training = trainer.model.training
    trainer.model.eval()
    try:
        with trainer.autocast:
            _, output, target = trainer.compute_loss(batch)
        return output, target
    finally:
        trainer.model.train(was_training)
        trainer.model = trained
