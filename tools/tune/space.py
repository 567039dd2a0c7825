"""What is searched: a JSON file of dotted config keys, each with a list, a range or a log range.

{"optimizer.args.lr": {"log": [1e-4, 1e-1]}, "arch.args.dropout": {"range": [0.0, 0.5]}, "seed": [1, 2, 3]}
"""

import copy
import json
import math
from dataclasses import dataclass
from typing import Any

from tools.trials.trial import Trial
from utils.config import apply_settings, checked
from utils.errors import ConfigError

MAX_GRID = 100_000
EXAMPLES = 'a list, {"range": [0.0, 0.5]} or {"log": [0.0001, 0.1]}'
# What decides which numbers are compared, or where they are written.
FIXED = ("name", "metrics", "trainer.save_dir", "trainer.monitor", "trainer.type", "data_loader.type",
         "data_loader.args.validation_split", "data_loader.args.split_seed", "data_loader.args.stratify",
         "data_loader.args.groups")  # fmt: skip


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones if both are. log: each power of ten is as likely."""

    low: float
    high: float
    log: bool

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def rvs(self, random_state: Any) -> float:
        """A random one: what scikit-learn's ParameterSampler asks of a distribution."""
        low, high = self.low, self.high + 1 if self.is_whole else self.high
        if self.log:
            value = math.exp(random_state.uniform(math.log(low), math.log(high)))
        else:
            value = random_state.uniform(low, high)
        return min(max(int(value) if self.is_whole else value, self.low), self.high)


Space = dict[str, list[Any] | Range]


def check_space(content: dict[str, Any], config: dict[str, Any], where: str) -> Space:
    """The space that a JSON file describes. Raises ConfigError with every fault: see the module's first lines."""
    space: Space = {}
    faults = [] if content else ["an empty space: name a key to search, such as optimizer.args.lr"]
    monitored = config["trainer"]["monitor"].partition(" ")[2]
    for key, values in sorted(content.items(), key=lambda item: item[0].count(".")):  # objects before their parts
        if key in FIXED or (key.startswith("loss") and monitored in ("loss", "val_loss")):
            faults.append(f"{key}: trials that differ in it cannot be compared by their {monitored}")
        elif isinstance(values, list):
            faults += _check_list(key, values)
            space[key] = values
        else:
            faults += _check_range(key, values)
            if not faults:
                [(kind, (low, high))] = values.items()
                space[key] = Range(low, high, kind == "log")
    if not faults:
        faults = _check_values(space, config)
    if faults:
        raise ConfigError(where, faults)
    return space


def _check_list(key: str, values: list[Any]) -> list[str]:
    texts = [json.dumps(value, sort_keys=True) for value in values]
    doubles = [text for text in dict.fromkeys(texts) if texts.count(text) > 1]
    if doubles:
        return [f"{key}: {doubles[0]} stands there more than once"]
    few = {0: "an empty list", 1: f"one value only, {', '.join(texts)}"}
    return [f"{key}: {few[len(values)]}: there is nothing to search"] if len(values) in few else []


def _check_range(key: str, values: Any) -> list[str]:
    kinds = list(values) if isinstance(values, dict) else []
    ends = values[kinds[0]] if kinds in (["range"], ["log"]) else None
    if not isinstance(ends, list) or len(ends) != 2 or not all(type(end) in (int, float) for end in ends):
        return [f"{key}: {json.dumps(values)[:60]} is not {EXAMPLES}"]
    if ends[0] >= ends[1]:
        return [f"{key}: {ends} is no range: the first number must be the smaller one"]
    if "log" in values and ends[0] <= 0:
        return [f"{key}: a log range begins above 0, not at {ends[0]}"]
    return []


def _check_values(space: Space, config: dict[str, Any]) -> list[str]:
    """What the config would be refused for with one of the values; two that do not go together are a failed trial."""
    faults: dict[str, None] = {}
    for key, values in space.items():
        for value in values if isinstance(values, list) else (values.low, values.high):
            try:
                checked(with_settings(config, {key: value}), "")
            except ConfigError as error:
                faults |= dict.fromkeys(error.faults)
    return list(faults)


def with_settings(config: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """A copy of a config with a trial's settings."""
    config = copy.deepcopy(config)
    apply_settings(config, [f"{key}={json.dumps(value)}" for key, value in settings.items()])
    return config


def grid(space: Space) -> list[Trial]:
    """Every combination. Raises ConfigError for ranges, which have no end of values."""
    from sklearn.model_selection import ParameterGrid

    ranges = [key for key, values in space.items() if isinstance(values, Range)]
    if ranges:
        raise ConfigError("--search grid", [f"{key}: a range; give a list of values" for key in ranges])
    combinations = ParameterGrid(space)
    if len(combinations) > MAX_GRID:
        raise ConfigError("--search grid", [f"{len(combinations):,} combinations; use --search random"])
    return _numbered(combinations, space)


def random(space: Space, n_trials: int, seed: int) -> list[Trial]:
    """So many random ones; with more of them, the first are the same. Lists alone: each combination at most once."""
    from sklearn.model_selection import ParameterGrid, ParameterSampler
    from sklearn.utils import check_random_state

    only_lists = all(isinstance(values, list) for values in space.values())
    if only_lists and len(combinations := ParameterGrid(space)) <= MAX_GRID:
        # Of lists alone, the sampler gives others at first when there are more, and all of them in the grid's order.
        order = check_random_state(seed).permutation(len(combinations))
        return _numbered((combinations[i] for i in order[:n_trials]), space)
    return _numbered(ParameterSampler(space, n_trials, random_state=seed), space)


def _numbered(combinations: Any, space: Space) -> list[Trial]:
    """Trials with their settings in the order of the space."""
    ordered = [{key: settings[key] for key in space} for settings in combinations]
    return [Trial(trial_name(number), settings) for number, settings in enumerate(ordered, 1)]


def trial_name(number: int) -> str:
    """Trials are numbered from 1."""
    return f"trial-{number:04}"
