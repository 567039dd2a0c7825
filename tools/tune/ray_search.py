"""Ray Tune: trials on the CPUs and GPUs of this machine or of a cluster; ASHA ends those that fall behind.

Ray keeps a state of its own, but pickled: it is not read back. When a search goes on, each trial tells ASHA once more
what is in its run folder.
"""

import logging
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray  # pyright: ignore[reportMissingImports]
from ray import tune  # pyright: ignore[reportMissingImports]
from ray.tune.schedulers import ASHAScheduler  # pyright: ignore[reportMissingImports]

from tools.trials.processes import TrialProcess
from tools.trials.table import Progress
from tools.trials.trial import Record, Trial, read_records, read_result, write_result
from utils.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]
REDUCTION = 3  # at each of ASHA's epochs, the best third goes on
# No report to Ray's makers, the folder that a person works in, no files and charts of Ray's own.
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_CHDIR_TO_TRIAL_DIR": "0", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
               "RAY_AIR_NEW_OUTPUT": "0", "PYTHONPATH": str(PROJECT)}  # fmt: skip


def search_with_ray(
    trials: list[Trial], config: dict[str, Any], folder: Path, parallel: int, progress: Progress, address: str | None
) -> None:
    """Run the trials, `parallel` at a time, on this machine or on the cluster at `address`.

    Raises UserError if there is no cluster at that address.
    """
    os.environ.update({name: value for name, value in ENVIRONMENT.items() if name != "PYTHONPATH"})
    folder, state = folder.resolve(), folder.resolve() / ".ray"
    shutil.rmtree(state, ignore_errors=True)
    size = {} if address else {"num_cpus": parallel * config["threads"], "include_dashboard": False}
    environment = {"env_vars": ENVIRONMENT}
    try:
        ray.init(address or "local", runtime_env=environment, log_to_driver=False, logging_level=logging.ERROR, **size)
    except (ConnectionError, ValueError) as error:
        if address is None:
            raise
        raise UserError(f"--address {address}: {str(error).splitlines()[0]}") from error
    try:
        n_gpus = ray.cluster_resources().get("GPU", 0) if config["n_gpu"] else 0
        resources = {"cpu": config["threads"], "gpu": min(1, n_gpus / parallel)}
        given = {"trials": trials, "base": config, "folder": folder, "cwd": Path.cwd()}
        mode, n_epochs = config["trainer"]["monitor"].partition(" ")[0], config["trainer"]["epochs"]
        scheduler = ASHAScheduler("epoch", max_t=n_epochs + 1, grace_period=max(1, n_epochs // 10),
                                  reduction_factor=REDUCTION)  # fmt: skip
        ended = Ended(trials, config, folder, progress)
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(RayTrial, **given), resources),
            param_space={"number": tune.grid_search(list(range(len(trials))))},
            tune_config=tune.TuneConfig(metric="value", mode=mode, scheduler=scheduler, reuse_actors=True,
                                        max_concurrent_trials=parallel),
            run_config=tune.RunConfig(name="search", storage_path=str(state), callbacks=[ended], verbose=0,
                                      checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False)),
        )  # fmt: skip
        tuner.fit()
    finally:
        ray.shutdown()
        shutil.rmtree(state, ignore_errors=True)
    if progress.n_left:  # Ray does not raise it
        raise KeyboardInterrupt


class RayTrial(tune.Trainable):
    """A trial as Ray sees it: a step is an epoch of the process that trains it, or one that is on disk."""

    def setup(self, config: dict[str, Any], trials: list[Trial], base: dict[str, Any], folder: Path, cwd: Path) -> None:
        os.chdir(cwd)
        self.trials, self.base, self.folder = trials, base, folder
        self._begin(config["number"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """The next trial in the same actor, which takes seconds to start."""
        self.cleanup()
        self._begin(new_config["number"])
        return True

    def _begin(self, number: int) -> None:
        trial = self.trials[number]
        mode, _, self.monitored = self.base["trainer"]["monitor"].partition(" ")
        self.last = {"value": math.inf if mode == "min" else -math.inf, "epoch": 0}
        has_ended = read_result(self.folder / trial.name) is not None
        self.process = None if has_ended else TrialProcess(self.base, self.folder, trial)
        self.records = iter(read_records(self.folder / trial.name)) if has_ended else self._trained()

    def step(self) -> Record:
        """The next epoch's record, and its number as `value`; or the last once more, and that it was the last."""
        record = next(self.records, None)
        if record is None:
            return self.last | {"record": None, "done": True}
        value = record.get(self.monitored)
        value = value if isinstance(value, int | float) else self.last["value"]
        self.last = {"value": value, "epoch": record["epoch"], "record": record}
        return self.last

    def _trained(self) -> Iterator[Record]:
        assert self.process is not None
        while (record := self.process.receive()) is not None:
            yield record
            self.process.answer(stop=False)
        self.process.result()

    def cleanup(self) -> None:
        """ASHA or a person ends the trial, or it has ended: let the process save its state."""
        if self.process is not None:
            self.process.process.terminate()
            self.process.answer(stop=False)  # which it may wait for
            self.process.process.join()


class Ended(tune.Callback):
    """Hears in the search's own process of epochs and of trials that ended. One without a result, ASHA has ended."""

    def __init__(self, trials: list[Trial], config: dict[str, Any], folder: Path, progress: Progress):
        self.trials, self.trainer, self.folder, self.progress = trials, config["trainer"], folder, progress
        self.records: dict[str, list[Record]] = {trial.name: [] for trial in trials}

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: Record, **info: Any) -> None:
        if result["record"] is not None:
            self.records[self.trials[trial.config["number"]].name].append(result["record"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        epoch = trial.last_result["epoch"]
        if epoch < self.trainer["epochs"]:
            self._end(trial, "pruned", f"pruned after epoch {epoch}")
        else:
            self._end(trial, "done", "")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._end(trial, "failed", "its Ray actor died; an out-of-memory killer mostly does that")

    def _end(self, trial: Any, state: str, cause: str) -> None:
        ended = self.trials[trial.config["number"]]
        records, run_dir = self.records[ended.name], self.folder / ended.name
        self.progress.show(ended, write_result(run_dir, ended, records, self.trainer["monitor"], state, cause))
