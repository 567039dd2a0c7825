"""torch.compile, with the answer to whether it was worth the wait."""

import logging
import statistics
import time

from torch import nn

EAGER_STEPS = 20  # trained before, to have something to compare with
COMPILED_STEPS = 20  # timed after

logger = logging.getLogger(__name__)


class Compilation:
    """Compiles a model after its first 20 steps, times both, and logs after how many steps that pays.

    The first steps of a run are always those, so that a resumed run computes each step as the uninterrupted one did.
    Each shape of a batch is compiled for itself (`dynamic=False`), so what is computed does not depend on the shapes
    seen before, as long as there are no more than eight: torch leaves further ones uncompiled.
    """

    def __init__(self, model: nn.Module):
        self.model = model
        self._is_compiled = False
        self._eager: list[float] = []
        self._compiled: list[float] = []
        self._then = 0.0

    def before_step(self, step: int) -> None:
        """Call before each training step, with the number of those done."""
        if len(self._compiled) == COMPILED_STEPS:
            return
        self._note_time(self._compiled if self._is_compiled else self._eager)
        if step >= EAGER_STEPS and not self._is_compiled:
            self.compile()
        elif len(self._compiled) == COMPILED_STEPS:
            self._report()

    def resume(self, step: int) -> None:
        """Call when so many steps were made by an earlier process, which would have compiled before the last of them.

        Not only the next step: a validation comes first if the run was stopped there.
        """
        if step > EAGER_STEPS:
            self.compile()
            self._then = 0.0  # the step that compiles has yet to begin

    def compile(self) -> None:
        """The next forward pass compiles."""
        self.model.compile(dynamic=False)
        self._is_compiled = True
        self._then = time.perf_counter()

    def _note_time(self, times: list[float]) -> None:
        now = time.perf_counter()
        if self._then:
            times.append(now - self._then)
        self._then = now

    def _report(self) -> None:
        first, after = self._compiled[0], statistics.median(self._compiled[1:])
        if not self._eager:  # resumed later: nothing to compare with
            logger.info("Compiled in %.1f s; a step takes %.2f ms.", first, 1e3 * after)
            return
        before = statistics.median(self._eager)
        saved = before - after
        pays = f"pays after {first / saved:,.0f} steps" if saved > 0 else "does not pay: set trainer.compile to false"
        logger.info("Compiled in %.1f s; a step takes %.2f ms instead of %.2f ms: %s.",
                    first, 1e3 * after, 1e3 * before, pays)  # fmt: skip
