"""What to do when a batch does not fit into memory."""

import logging

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


def out_of_memory_elsewhere(step: int) -> UserError:
    """What to say of memory that ran out where a part of a batch would not help."""
    return UserError(
        f"out of memory after step {step}, not in a step's forward or backward pass but in the optimizer, a metric, a "
        f"validation or a train_step of one's own. Try a smaller data_loader.args.batch_size. {ADVICE}"
    )
