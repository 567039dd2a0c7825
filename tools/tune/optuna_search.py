"""Optuna: new trials are drawn where the others were good (TPE); one that falls behind the median ends early."""

import json
import math
import zlib
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState

from tools.trials.table import Progress
from tools.trials.trial import Record, Trial
from tools.tune.space import Space, trial_name
from utils.errors import UserError


class OptunaSearch:
    """A search (see tools/trials/processes.py) whose study is in optuna.db, in the search's folder.

    A trial's settings depend on the seed, its number and the trials that have ended. So a search whose trials run one
    at a time goes on after a kill as if there had been none.
    """

    def __init__(self, space: Space, n_trials: int, config: dict[str, Any], folder: Path, progress: Progress):
        self.space, self.n_trials, self.progress, self.seed = space, n_trials, progress, config["seed"]
        self.mode, _, self.monitored = config["trainer"]["monitor"].partition(" ")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        identity = zlib.crc32(json.dumps([repr(space), config]).encode())
        self.study = _open_study(folder / "optuna.db", self.mode, identity)
        self.study.pruner = optuna.pruners.MedianPruner(n_warmup_steps=config["trainer"]["epochs"] // 5)
        interrupted = self.study.get_trials(states=[TrialState.RUNNING])
        self.interrupted = [optuna.Trial(self.study, trial._trial_id) for trial in interrupted]
        self.last_epoch = {trial_name(trial.number + 1): trial.last_step or 0 for trial in interrupted}
        self.running: dict[str, optuna.Trial] = {}
        progress.n_left -= len(self.study.trials) - len(interrupted)

    def next(self) -> Trial | None:
        """An interrupted trial if there is one, else a new one."""
        if self.interrupted:
            trial = self.interrupted.pop(0)
        elif len(self.study.trials) < self.n_trials:
            trial = self.study.ask()
        else:
            return None
        name = trial_name(trial.number + 1)
        self.running[name] = trial
        return Trial(name, {key: self._suggest(trial, key) for key in self.space})

    def _suggest(self, trial: optuna.Trial, key: str) -> Any:
        """The value that the trial has, or now gets, for a key: each by a seed of its own, so that a kill between two
        of them changes nothing. That is why they are drawn one by one (multivariate=False)."""
        seed = zlib.crc32(f"{self.seed} {trial.number} {key}".encode())
        self.study.sampler = optuna.samplers.TPESampler(seed=seed, multivariate=False)
        values = self.space[key]
        if isinstance(values, list):  # as text, for Optuna knows no lists or objects
            return json.loads(trial.suggest_categorical(key, [json.dumps(value) for value in values]))
        if values.is_whole:
            return trial.suggest_int(key, int(values.low), int(values.high), log=values.log)
        return trial.suggest_float(key, values.low, values.high, log=values.log)

    def should_stop(self, trial: Trial, record: Record) -> bool:
        """Whether the trial is behind the median of the others at this epoch."""
        value, epoch = record.get(self.monitored), record["epoch"]
        if value is None or not math.isfinite(value) or epoch < self.last_epoch.get(trial.name, 0):
            return False
        if epoch > self.last_epoch.get(trial.name, 0):
            self.running[trial.name].report(value, epoch)
            self.last_epoch[trial.name] = epoch
        return self.running[trial.name].should_prune()

    def end(self, trial: Trial, result: Record) -> None:
        """Tell the study the best value reached; a pruned trial counts by its last."""
        states = {"failed": TrialState.FAIL, "pruned": TrialState.PRUNED, "done": TrialState.COMPLETE}
        value = result["value"] if result["state"] == "done" else None
        self.study.tell(self.running.pop(trial.name).number, value, states[result["state"]])
        self.progress.show(trial, result)


def _open_study(path: Path, mode: str, identity: int) -> optuna.Study:
    """The one study of a file, new or not. Raises UserError for a file that holds something else."""
    url = f"sqlite:///{path}"
    try:
        names = optuna.get_all_study_names(url) if path.exists() else []
        direction = StudyDirection.MINIMIZE if mode == "min" else StudyDirection.MAXIMIZE
        study = optuna.create_study(storage=url, study_name="search", direction=direction, load_if_exists=True)
        if not study.trials:
            study.set_user_attr("identity", identity)
        if names in ([], ["search"]) and study.user_attrs.get("identity") == identity:
            return study
    except Exception as error:  # of SQLite, SQLAlchemy or Optuna
        raise UserError(f"{path} is no study of Optuna ({type(error).__name__}); choose another --name") from error
    raise UserError(f"{path} is the study of another search; choose another --name")
