"""What a notebook keeps of a training that has no folder: a table of its epochs, and the best weights."""

from pathlib import Path
from typing import Any

from torch import nn

from utils.checkpoint import load_checkpoint, load_model, snapshot, states_of, trained_weights


class History:
    """The records of the epochs, and the weights after the best one."""

    def __init__(self) -> None:
        self._records: list[dict[str, float]] = []
        self._best: dict[str, Any] | None = None

    def end_epoch(self, record: dict[str, float], stateful: dict[str, Any], is_best: bool) -> None:
        """Keep an epoch's record of the log and, of the best, a copy of the weights and of their average."""
        self._records.append(record)
        if is_best:
            self._best = snapshot(states_of({name: stateful[name] for name in ("model", "ema") if name in stateful}))

    def table(self) -> Any:
        """A pandas DataFrame with a row per epoch."""
        from pandas import DataFrame

        return DataFrame(self._records)

    def restore_best(self, model: nn.Module, run_dir: Path | None) -> None:
        """Give a model the best weights, those in a run's folder if there is one. ValueError if there are none."""
        path = run_dir / "model_best.pth" if run_dir is not None else None
        state = load_checkpoint(path) if path is not None and path.exists() else self._best
        if state is None:
            raise ValueError("no epoch was the best: give the trainer a monitor, such as 'min val_loss', and train")
        load_model(model, trained_weights(state))
