"""Who wins when a run is resumed with a changed config: the person who changed it."""

import json
from typing import Any

# A change of these changes the batches or what is gathered of them: an epoch that was interrupted starts anew.
EPOCH_KEYS = ("seed", "data_loader.", "loss", "metrics")
SCHEDULE_KEYS = ("lr_scheduler", "optimizer.args.lr", "trainer.schedule_per")
# After a change of other arguments of the data loader, what was the best may be of other samples.
ORDER_KEYS = tuple(
    f"data_loader.args.{name}" for name in ("batch_size", "shuffle", "balanced", "len_epoch", "drop_last", "augment")
)
HARMLESS_KEYS = ("data_loader.args.num_workers", "data_loader.args.data_dir", "data_loader.args.download")
# What a run decides for itself as it goes on, until the person does: the key, and the checkpoint's entry.
SETTINGS = {"seed": "random", "threads": "threads", "trainer.accumulate": "part_size"}
# Where the run lies was decided when it started.
FIXED_KEYS = ("name", "trainer.save_dir")
# Arguments that do not change what an optimizer remembers of each weight. After a change of another it starts afresh.
FREE_OPTIMIZER_ARGS = ("lr", "weight_decay", "betas", "eps", "fused", "foreach", "maximize")


def differences(then: Any, now: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Every dotted key whose value differs between two configs: key -> (then, now). None stands for no value."""
    if not (isinstance(then, dict) and isinstance(now, dict)):
        return {path: (then, now)} if then != now else {}
    found: dict[str, tuple[Any, Any]] = {}
    for key in then | now:
        found |= differences(then.get(key), now.get(key), f"{path}.{key}".lstrip("."))
    return found


def changes_schedule(then: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether two configs have another learning rate, at some step."""
    return any(key.startswith((*SCHEDULE_KEYS, "optimizer")) for key in differences(then, now))


def take_over_changes(
    checkpoint: dict[str, Any], config: dict[str, Any], fresh: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The checkpoint's state, changed to what `config` says now, and the lines of a table of the changes.

    fresh: the state of a trainer made from `config`, its scheduler wound forward to the checkpoint's epoch. A changed
        learning rate or schedule thus goes on as if it had been so from the start.
    """
    changes = differences(checkpoint["config"], config)
    wins = {key: "the run's folder stays" if key in FIXED_KEYS else "the new value" for key in changes}
    state = dict(checkpoint)
    optimizer = [key for key in changes if key.startswith("optimizer")]
    forgotten = [key for key in optimizer if key.split(".")[-1] not in FREE_OPTIMIZER_ARGS]
    schedule = any(key.startswith(SCHEDULE_KEYS) for key in changes)
    plateau = (config.get("lr_scheduler") or {}).get("type") == "ReduceLROnPlateau"
    monitor = config.get("trainer", {}).get("monitor", "off")
    rejudged = [key for key in changes if _changes_monitored(key, monitor, checkpoint["config"], config)]
    if rejudged:
        wins |= {key: f"{wins[key]}; the best so far no longer counts" for key in rejudged}
        state |= {"best": None, "epochs_since_best": 0}
        schedule = schedule or plateau

    if forgotten:  # what the optimizer remembered is of no use to it now
        wins |= {key: f"{wins[key]}; the optimizer starts afresh" for key in forgotten}
        state["optimizer"] = fresh["optimizer"]
    elif optimizer or schedule:
        groups = [dict(group) for group in fresh["optimizer"]["param_groups"]]
        if plateau and "optimizer.args.lr" not in optimizer:  # what it has lowered stays lowered
            for group, old in zip(groups, checkpoint["optimizer"]["param_groups"], strict=True):
                group["lr"] = old["lr"]
        state["optimizer"] = checkpoint["optimizer"] | {"param_groups": groups}
    if schedule:
        state["lr_scheduler"] = fresh["lr_scheduler"]

    for key, entry in SETTINGS.items():
        if key in changes and entry in fresh:
            state[entry] = fresh[entry]
    others = [key for key in changes if key.startswith(EPOCH_KEYS) and key not in HARMLESS_KEYS]
    if others and "part_size" in fresh:
        state["part_size"] = fresh["part_size"]
    if state["batch"] and others:  # the interrupted epoch's batches or metrics are others now
        wins |= {key: f"{wins[key]}; epoch {state['epoch'] + 1} starts anew" for key in others}
        state |= {key: fresh[key] for key in ("batch", "train_metrics") if key in fresh}
    table = [(key, _show(then), _show(now), wins[key]) for key, (then, now) in changes.items()]
    return _like(state, fresh), _table(table)


def _changes_monitored(key: str, monitor: str, then: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether a change of this key makes the monitored numbers of before and after no longer comparable."""
    if key == "trainer.monitor":
        return True
    if monitor == "off":
        return False
    name = monitor.rpartition(" ")[2].removeprefix("val_")
    if key.startswith("data_loader."):
        return not key.startswith((*ORDER_KEYS, *HARMLESS_KEYS))
    if key == "metrics":
        return _metric(then, name) != _metric(now, name)
    return key.startswith("loss") and name == "loss"


def _metric(config: dict[str, Any], name: str) -> Any:
    """A metric's entry in a config; None if it has no such metric."""
    entries = config.get("metrics") or []
    return next((entry for entry in entries if name == (entry if isinstance(entry, str) else entry["type"])), None)


def _like(state: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
    """A state whose schedule has no other keys than a fresh one's: torch would set them as attributes, also methods.

    And whose optimizer is fused if a fresh one is: torch.amp.GradScaler goes by how it was made.
    Raises ValueError where the schedule or the optimizer's settings hold another kind of value than a fresh one.
    """
    groups = [dict(group) for group in state["optimizer"].get("param_groups", [])]
    state = state | {"optimizer": state["optimizer"] | {"param_groups": groups}}
    pairs = list(zip(groups, fresh["optimizer"]["param_groups"], strict=False))
    if fresh["lr_scheduler"] is not None:
        schedule = {key: value for key, value in state["lr_scheduler"].items() if key in fresh["lr_scheduler"]}
        state = state | {"lr_scheduler": schedule}
        pairs.append((schedule, fresh["lr_scheduler"]))
    for values, expected in pairs:
        for key in values.keys() & expected.keys():
            if not _is_alike(values[key], expected[key]):
                raise ValueError(f"{key} is {str(values[key])[:60]}, which cannot be")
        if "fused" in expected:
            values["fused"] = expected["fused"]
    return state


def _is_alike(value: Any, expected: Any) -> bool:
    if isinstance(expected, str | dict):
        return isinstance(value, type(expected))
    if isinstance(expected, list | tuple):
        return isinstance(value, list | tuple) and all(map(_is_alike, value, expected))
    return not isinstance(value, str | bytes | dict | list | tuple)


def _table(changes: list[tuple[str, str, str, str]]) -> list[str]:
    """Aligned lines; none if there is no change."""
    rows = [("key", "then", "now", "which wins"), *changes] if changes else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _show(value: Any) -> str:
    text = "-" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
