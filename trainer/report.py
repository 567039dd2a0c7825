"""What code of one's own drops without a word, found once per run."""

import logging
from typing import Any

import torch

from utils.errors import UserError
from utils.parallel import world_size

logger = logging.getLogger(__name__)


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
