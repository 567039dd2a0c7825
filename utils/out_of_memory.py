"""What to do when a batch does not fit into memory."""

import logging

from utils.errors import UserError

logger = logging.getLogger(__name__)


def more_parts(n_parts: int, n_samples: int, step: int) -> int:
    """Twice as many parts for a batch of so many samples, after `step` ran out of memory with `n_parts`.

    Raises UserError when the parts are single samples already.
    """
    if n_parts >= n_samples:
        raise UserError(
            f"out of memory in step {step} even with one sample at a time. Try a smaller model or smaller inputs, "
            "trainer.amp=bf16, or a device with more memory (-d)."
        )
    n_parts = min(2 * n_parts, n_samples)
    logger.warning("Out of memory in step %d: from here on, each batch is worked through in %d parts of at most "
                   "%d samples.", step, n_parts, -(-n_samples // n_parts))  # fmt: skip
    return n_parts
