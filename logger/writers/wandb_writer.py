"""Weights & Biases, into the run's folder; to its server only if WANDB_MODE=online says so."""

import logging
import os
import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from logger.writers.pictures import draw_pr_curve, to_bytes
from utils.errors import UserError

logger = logging.getLogger(__name__)


class WandbWriter:
    """A writer of wandb. The project is called like the config, the W&B run like the run's folder.

    Offline unless the environment says WANDB_MODE=online; `wandb sync` sends it later. A resumed run goes on in the
    same W&B run, whose id stands in wandb/run_id.
    """

    packages: Sequence[str] = ("wandb",)
    errors: tuple[type[Exception], ...] = (OSError,)
    takes_back = False

    def __init__(self, run_dir: Path, n_steps_done: int):
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb  # pyright: ignore[reportMissingImports]

        self.errors = (OSError, wandb.Error)
        folder = run_dir / "wandb"
        folder.mkdir(exist_ok=True)
        run_id = folder / "run_id"
        if n_steps_done == 0 or not run_id.exists():
            run_id.write_text(uuid.uuid4().hex)
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        self._wandb: Any = wandb
        try:
            self._run: Any = wandb.init(
                project=re.sub(r"[/\\#?%:]", "-", run_dir.resolve().parent.name),
                name=run_dir.name,
                dir=run_dir,
                id=run_id.read_text()[:64],
                resume="allow",
                mode=mode,
                settings=wandb.Settings(console="off", silent=True, disable_code=True, disable_git=True),
            )
        except wandb.Error as error:  # such as no account, with WANDB_MODE=online
            raise UserError(f"trainer.writers: wandb cannot begin: {error}") from error
        if mode == "offline":
            logger.info("wandb is offline; WANDB_MODE=online sends all at once, or later: wandb sync %s/offline-run-*",
                        folder)  # fmt: skip

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self._run.log({tag: value}, step=step)

    def add_image(self, tag: str, image: Any, step: int) -> None:
        self._run.log({tag: self._wandb.Image(to_bytes(image))}, step=step)

    def add_figure(self, tag: str, figure: Any, step: int) -> None:
        self._run.log({tag: self._wandb.Image(figure)}, step=step)

    def add_histogram(self, tag: str, values: Any, step: int) -> None:
        self._run.log({tag: self._wandb.Histogram(values.detach().cpu().float().numpy())}, step=step)

    def add_pr_curve(self, tag: str, labels: Any, predictions: Any, step: int) -> None:
        self.add_figure(tag, draw_pr_curve(labels, predictions), step)

    def add_graph(self, model: Any, inputs: Any) -> None:
        """It draws none."""

    def add_hparams(self, hparams: dict[str, Any], metrics: Sequence[str]) -> None:
        self._run.config.update(hparams, allow_val_change=True)

    def flush(self) -> None:
        """A process of its own writes, which outlives this one."""

    def close(self, is_complete: bool) -> None:
        self._run.finish(exit_code=0 if is_complete else 1)
