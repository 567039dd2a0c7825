"""MLflow, in a SQLite store in the run's folder: mlflow ui --backend-store-uri sqlite:///saved/NAME/RUN/mlflow.db"""

import logging
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from logger.writers.pictures import draw_histogram, draw_pr_curve, to_bytes
from utils.errors import UserError


class MlflowWriter:
    """A writer of mlflow. The experiment is called like the config, the MLflow run like the run's folder.

    To compare runs, let them write into one store: MLFLOW_TRACKING_URI=sqlite:///mlflow.db, or a server's address. A
    resumed run goes on in the same MLflow run, whose id stands in mlflow_run_id.
    """

    packages: Sequence[str] = ("mlflow", "sqlalchemy", "alembic")
    errors: tuple[type[Exception], ...] = (OSError,)
    takes_back = False

    def __init__(self, run_dir: Path, n_steps_done: int):
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]
        from mlflow.entities import Metric  # pyright: ignore[reportMissingImports]
        from mlflow.exceptions import MlflowException  # pyright: ignore[reportMissingImports]

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self.errors = (OSError, MlflowException)
        self._metric = Metric
        self._metrics: list[Any] = []  # since the last flush
        uri, folder = os.environ.get("MLFLOW_TRACKING_URI"), run_dir.resolve()
        artifacts = None if uri else (folder / "mlflow").as_uri()
        try:
            self._client: Any = MlflowClient(uri or f"sqlite:///{folder / 'mlflow.db'}")
            self._run_id = self._resume(run_dir, artifacts) if n_steps_done > 0 else None
            self._run_id = self._run_id or self._begin(run_dir, artifacts)
        except MlflowException as error:
            raise UserError(f"trainer.writers: mlflow cannot begin: {error}") from error

    def _begin(self, run_dir: Path, artifacts: str | None) -> str:
        """A new MLflow run in the experiment of this name."""
        folder = run_dir.resolve()
        experiment = self._client.get_experiment_by_name(folder.parent.name)
        if experiment is None:
            experiment_id = self._client.create_experiment(folder.parent.name, artifacts)
        else:
            experiment_id = experiment.experiment_id
        run_id = self._client.create_run(experiment_id, run_name=folder.name).info.run_id
        (run_dir / "mlflow_run_id").write_text(run_id)
        return run_id

    def _resume(self, run_dir: Path, artifacts: str | None) -> str | None:
        """The MLflow run to go on with; None if there is none. UserError if it would write pictures elsewhere."""
        path = run_dir / "mlflow_run_id"
        run_id = path.read_text()[:64] if path.exists() else ""
        if not re.fullmatch("[0-9a-f]{32}", run_id):
            return None
        try:
            info = self._client.get_run(run_id).info
        except self.errors:
            return None
        if artifacts is not None and info.artifact_uri != f"{artifacts}/{run_id}/artifacts":
            raise UserError(f"{run_dir}/mlflow.db was made for another folder; remove it, and MLflow begins anew")
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self._metrics.append(self._metric(tag, value, int(time.time() * 1000), step))

    def add_image(self, tag: str, image: Any, step: int) -> None:
        self._client.log_image(self._run_id, to_bytes(image), key=tag, step=step)

    def add_figure(self, tag: str, figure: Any, step: int) -> None:
        self._client.log_figure(self._run_id, figure, f"{tag}/{step:08}.png")

    def add_histogram(self, tag: str, values: Any, step: int) -> None:
        self.add_figure(tag, draw_histogram(values), step)

    def add_pr_curve(self, tag: str, labels: Any, predictions: Any, step: int) -> None:
        self.add_figure(tag, draw_pr_curve(labels, predictions), step)

    def add_graph(self, model: Any, inputs: Any) -> None:
        """It draws none."""

    def add_hparams(self, hparams: dict[str, Any], metrics: Sequence[str]) -> None:
        """Those of the start: it lets none be changed on a resume."""
        from mlflow.entities import Param  # pyright: ignore[reportMissingImports]

        known = self._client.get_run(self._run_id).data.params
        new = [Param(key, str(value)[:6000]) for key, value in hparams.items() if key not in known]
        self._client.log_batch(self._run_id, params=new[:100])

    def flush(self) -> None:
        metrics, self._metrics = self._metrics, []
        for start in range(0, len(metrics), 1000):  # it takes no more at once
            self._client.log_batch(self._run_id, metrics=metrics[start : start + 1000])

    def close(self, is_complete: bool) -> None:
        self.flush()
        self._client.set_terminated(self._run_id, "FINISHED" if is_complete else "FAILED")
