"""Who wins when a run is resumed with a changed config: the person who changed it (rules: docs/reliability.md)."""

from typing import Any

from utils.errors import in_json

State = dict[str, Any]
FIXED = ("name", "trainer.save_dir")
SCHEDULE = ("lr_scheduler", "trainer.schedule_per", "optimizer")
NEW_RATE = {"lr_scheduler", "lr_scheduler.type", "optimizer.args.lr"}
FREE = ("lr", "weight_decay", "betas", "eps", "fused", "foreach", "maximize")
EPOCH = ("seed", "data_loader", "loss", "metrics")
HARMLESS = {"num_workers", "data_dir", "download"}
# Other batches, but of the same samples, so that the monitored numbers can still be compared.
BATCHING = {"batch_size", "shuffle", "balanced", "len_epoch", "drop_last", "augment"}
# What a run decides for itself as it goes on, until the person does: the key, and the state's entry.
DECIDED = {"seed": "random", "trainer.accumulate": "part_size", "trainer.amp": "scaler"}


def differences(then: Any, now: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Every dotted key whose value differs between two configs: key -> (then, now). None stands for no value."""
    if not (isinstance(then, dict) and isinstance(now, dict)):
        return {path: (then, now)} if then != now else {}
    found: dict[str, tuple[Any, Any]] = {}
    for key in then | now:
        found |= differences(then.get(key), now.get(key), f"{path}.{key}".lstrip("."))
    return found


def changes_schedule(then: State, now: State) -> bool:
    """Whether two configs have another learning rate, at some step."""
    return any(key.startswith(SCHEDULE) for key in differences(then, now))


def take_over_changes(checkpoint: State, config: State, fresh: State) -> tuple[State, list[str]]:
    """The checkpoint's state with the changes of `config`, as a `fresh` trainer has them, and the lines of a table."""
    then = checkpoint["config"]
    changes = differences(then, config)
    notes = {key: "the run's folder stays" if key in FIXED else "the new value" for key in changes}
    state = checkpoint | {entry: fresh[entry] for key, entry in DECIDED.items() if key in changes and entry in fresh}
    is_plateau = (config.get("lr_scheduler") or {}).get("type") == "ReduceLROnPlateau"

    if changes_schedule(then, config):
        afresh = [key for key in changes if key.startswith("optimizer") and key.split(".")[-1] not in FREE]
        notes |= {key: f"{notes[key]}; the optimizer starts afresh" for key in afresh}
        remembered = (fresh if afresh else checkpoint)["optimizer"]["state"]
        state |= {"optimizer": fresh["optimizer"] | {"state": remembered}, "lr_scheduler": fresh["lr_scheduler"]}
        if is_plateau and NEW_RATE.isdisjoint(changes):  # what it has lowered stays lowered
            groups = state["optimizer"]["param_groups"], checkpoint["optimizer"]["param_groups"]
            for group, old in zip(*groups, strict=True):
                group["lr"] = old["lr"]

    rejudged = [key for key in changes if _changes_monitored(key, then, config)]
    if rejudged:
        notes |= {key: f"{notes[key]}; the best so far no longer counts" for key in rejudged}
        state |= {"best": None, "epochs_since_best": 0}
        if is_plateau:
            state["lr_scheduler"] = fresh["lr_scheduler"]
    other_batches = [key for key in changes if key.startswith(EPOCH) and HARMLESS.isdisjoint(key.split("."))]
    if other_batches and state["batch"]:
        notes |= {key: f"{notes[key]}; epoch {state['epoch'] + 1} starts anew" for key in other_batches}
    if other_batches:
        state |= {key: fresh[key] for key in ("batch", "train_metrics", "part_size") if key in fresh}
    return state, _table(changes, notes)


def _changes_monitored(key: str, then: State, now: State) -> bool:
    """Whether a change of this key makes the monitored numbers of before and after no longer comparable."""
    monitor = now.get("trainer", {}).get("monitor", "off")
    name = monitor.rpartition(" ")[2].removeprefix("val_")
    other_loss = key.startswith("loss") and name == "loss"
    entries = [{repr(entry) for entry in config.get("metrics") or []} for config in (then, now)]
    other_metric = key == "metrics" and any(repr(name) in entry for entry in entries[0] ^ entries[1])
    is_data, names = key.startswith(("data_loader", "valid_data_loader")), key.split(".")
    other_samples = is_data and (BATCHING | HARMLESS).isdisjoint(names)
    return key == "trainer.monitor" or (monitor != "off" and (other_loss or other_metric or other_samples))


def _table(changes: dict[str, tuple[Any, Any]], notes: dict[str, str]) -> list[str]:
    """Aligned lines; none if there is no change."""
    rows = [("key", "then", "now", "which wins")]
    rows += [(key, *("-" if v is None else in_json(v, 40) for v in pair), notes[key]) for key, pair in changes.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows] if changes else []
