"""What to do when a batch does not fit into memory."""

import logging

from utils.errors import MEMORY_ADVICE, UserError

logger = logging.getLogger(__name__)


def smaller_part(part_size: int | None, n_samples: int, step: int) -> int:
    """Half the size of the parts in which `step` worked through a batch of so many samples when memory ran out.

    part_size: the largest part; None: the whole batch.
    Raises UserError when the parts were single samples.
    """
    size = min(part_size or n_samples, n_samples)
    if size == 1:
        raise UserError(f"out of memory in step {step} even with one sample at a time. {MEMORY_ADVICE}")
    size = (size + 1) // 2
    logger.warning("Out of memory in step %d: from here on, batches are worked through in parts of at most %d "
                   "samples.", step, size)  # fmt: skip
    return size
