"""What is said of a training that would do, or does, something else than was meant."""

import logging
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from utils.errors import UserError
from utils.loop import Metric, compare, misfit, name_of
from utils.parallel import world_size

# They compare each with each where shapes differ; torch only warns.
ELEMENTWISE = ("HuberLoss", "KLDivLoss", "L1Loss", "MSELoss", "PoissonNLLLoss", "SmoothL1Loss",
               "huber_loss", "l1_loss", "mse_loss", "smooth_l1_loss")  # fmt: skip
OUTPUTS = "outputs (arch.args, such as num_classes, out_features or the last of sizes)"
MIN_OUTPUTS = 16  # of fewer, all may be in [0, 1] by chance

logger = logging.getLogger(__name__)


def loss_of(criterion: Metric, output: Any, target: Any) -> Tensor:
    """The loss. Raises UserError with the shapes, and what to change, where output and target do not fit."""
    try:
        return compare("loss", criterion, output, target)
    except UserError as error:
        raise UserError(f"{str(error).rstrip('.')}{advice(criterion, output, target)}") from error


def report_output(criterion: Any, output: Any, target: Any) -> None:
    """Warn of outputs of the first batch that their loss was not made for. UserError if their shape is another."""
    if not (isinstance(output, Tensor) and isinstance(target, Tensor) and output.is_floating_point()):
        return
    name = name_of(criterion)
    if name in ELEMENTWISE and output.shape != target.shape:
        fault = f"loss: {misfit(criterion, output, target)}: they must have the same shape"
        raise UserError(fault + advice(criterion, output, target))
    values = output.detach().float()
    are_scores = values.dim() > 1 and values.shape[1] > 1
    may_be_chances = values.numel() >= MIN_OUTPUTS and bool(((values >= 0) & (values <= 1)).all())
    if name in ("cross_entropy", "CrossEntropyLoss") and are_scores and may_be_chances and _sum_to_1(values):
        logger.warning("%s brings a softmax of its own, and the model's output is one already: end the model without "
                       "it, or the training is slow and ends early.", name)  # fmt: skip
    if name in ("nll_loss", "NLLLoss") and are_scores and not _sum_to_1(values.exp()):
        logger.warning("%s is for logarithms of probabilities, which the model's output is not: say cross_entropy, or "
                       "end the model with log_softmax.", name)  # fmt: skip
    if name in ("bce_with_logits", "BCEWithLogitsLoss") and may_be_chances:
        logger.warning("%s brings a sigmoid of its own, and the model's output looks like one: end the model without "
                       "it.", name)  # fmt: skip
    if name == "BCELoss" and not are_scores:
        logger.warning("BCELoss is for probabilities, and the metrics take a single output for a logit: end the model "
                       "without a sigmoid, and say bce_with_logits.")  # fmt: skip


def _sum_to_1(values: Tensor) -> bool:
    return torch.allclose(values.sum(dim=1), values.new_ones(()), atol=1e-2)


def report_own_code(trainer: Any) -> None:
    """Warn of what a Trainer's first epoch left out: counting its steps, and options whose code it did not come by."""
    name = type(trainer).__name__
    if world_size() > 1 and trainer.replicas is None:
        raise UserError(f"{name}._train_epoch is not Trainer's, which averages gradients: train in one process")
    if trainer.batch == 0:
        logger.warning("%s._train_epoch does not call self.end_step() after a step: steps are not counted, and within "
                       "an epoch neither saves nor signals are heeded.", name)  # fmt: skip
    unused = {
        "accumulate": trainer.accumulate > 1 and not trainer.has_stepped,
        "amp": isinstance(trainer.autocast, torch.autocast) and not trainer.has_stepped,
        "clip_grad_norm": trainer.clip_grad_norm is not None and not trainer.has_updated,
        "ema": trainer.ema is not None and trainer.ema.n_averaged == 0,
        "on_nan": trainer.on_nan != "stop" and not trainer.has_updated,
    }
    if options := [option for option, is_unused in unused.items() if is_unused]:
        logger.warning("%s does not use Trainer's code for trainer.%s: without code of its own for it, that has no "
                       "effect.", name, ", trainer.".join(options))  # fmt: skip
    logged = trainer.train_metrics.state_dict().get("means", {}).keys() - trainer.train_metrics.names
    if logged:
        logger.warning("%s: self.log's %s is lost: let its _train_epoch return self.train_metrics.compute() too, and "
                       "call self.train_metrics.reset().", name, ", ".join(sorted(logged)))  # fmt: skip


def advice(criterion: Metric, output: Any, target: Any) -> str:
    """What most people mean whose output and target do not fit; "" if it could be anything."""
    if not (isinstance(output, Tensor) and isinstance(target, Tensor)):
        return ""
    with suppress(RuntimeError):  # a GPU that has failed reads nothing any more
        words = _advice(name_of(criterion).lower().replace("_", ""), output, target)
        return f". {words}" if words else ""
    return ""


def _advice(loss: str, output: Tensor, target: Tensor) -> str:
    n_outputs = output.shape[1:].numel()
    are_classes = not target.is_floating_point() and target.numel() == len(target) > 0
    if loss.startswith(("crossentropy", "nll")):
        if n_outputs == 1:
            return f"For one output say bce_with_logits or mse_loss; for classes, the model needs as many {OUTPUTS}"
        if target.dim() == 2 and target.shape[1] == 1:
            return "The dataset should hand out class numbers, (batch,): target.squeeze(1).long()"
        if target.is_floating_point():
            are_whole = bool((target % 1 == 0).all())
            return "The dataset should hand out target.long()" if are_whole else "For numbers as targets say mse_loss"
        return f"Class {target.max()} needs at least {target.max() + 1} {OUTPUTS}" if target.max() >= n_outputs else ""
    if are_classes and n_outputs > 1:
        return "For class numbers say cross_entropy"
    if output.numel() == target.numel() and output.shape != target.shape:
        has_more = output.dim() > target.dim()
        return f"{'The dataset should hand out target' if has_more else 'forward should return output'}.unsqueeze(1)"
    if target.dim() == output.dim() == 2 and output.shape != target.shape:
        return f"The target has {target.shape[1]} values per sample: the model needs as many {OUTPUTS}"
    return "" if target.is_floating_point() else "The dataset should hand out target.float()"
