"""What to do when a batch does not fit into memory."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from utils.errors import UserError

ADVICE = "Try a smaller model or smaller inputs, trainer.amp=bf16, or a device with more memory (-d)."
logger = logging.getLogger(__name__)


def smaller_part(part_size: int | None, n_samples: int, step: int) -> int:
    """Half the size of the parts in which `step` worked through a batch of so many samples when memory ran out.

    part_size: the largest part; None: the whole batch.
    Raises UserError when the parts were single samples.
    """
    size = min(part_size or n_samples, n_samples)
    if size == 1:
        raise UserError(f"out of memory in step {step} even with one sample at a time. {ADVICE}")
    size = (size + 1) // 2
    logger.warning("Out of memory in step %d: from here on, batches are worked through in parts of at most %d "
                   "samples.", step, size)  # fmt: skip
    return size


@contextmanager
def advising() -> Iterator[None]:
    """Raise a UserError where memory runs out and parts of a batch would not help."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(
            "out of memory, not in a step's forward or backward pass but in the optimizer, a metric, an evaluation or "
            f"a train_step of one's own. Try a smaller data_loader.args.batch_size. {ADVICE}"
        ) from error
