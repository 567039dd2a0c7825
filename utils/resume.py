"""Who wins when a run is resumed with a changed config: the person who changed it."""

from typing import Any

# Keys that change which samples come in which order: an epoch that was interrupted starts anew.
ORDER_KEYS = ("seed", "data_loader.type", "data_loader.args.batch_size", "data_loader.args.shuffle",
              "data_loader.args.validation_split", "data_loader.args.stratify")  # fmt: skip


def differences(then: Any, now: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Every dotted key whose value differs between two configs: key -> (then, now). None stands for no value."""
    if not (isinstance(then, dict) and isinstance(now, dict)):
        return {path: (then, now)} if then != now else {}
    found: dict[str, tuple[Any, Any]] = {}
    for key in then | now:
        found |= differences(then.get(key), now.get(key), f"{path}.{key}".lstrip("."))
    return found


def take_over_changes(
    checkpoint: dict[str, Any], config: dict[str, Any], fresh: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The checkpoint's state, changed to what `config` says now, and a note for each change.

    fresh: the state of the untrained trainer, for the parts whose type has changed.
    """
    changes = differences(checkpoint["config"], config)
    notes = [
        f"{key} was {then} in the checkpoint and is {now} now; the new value wins."
        for key, (then, now) in changes.items()
    ]
    state = dict(checkpoint)
    for part in ("optimizer", "lr_scheduler"):
        if f"{part}.type" in changes or part in changes:
            notes.append(f"{part} starts afresh: it is of another type.")
            state[part] = fresh[part]
    optimizer_args = _changed(changes, "optimizer.args.")
    scheduler_args = _changed(changes, "lr_scheduler.args.")
    if "lr" in optimizer_args:
        optimizer_args["initial_lr"] = optimizer_args["lr"]
        scheduler_args["base_lrs"] = [optimizer_args["lr"]] * len(state["optimizer"]["param_groups"])
    groups = [_replace(group, optimizer_args) for group in state["optimizer"]["param_groups"]]
    state["optimizer"] = state["optimizer"] | {"param_groups": groups}
    if state["lr_scheduler"] is not None:
        state["lr_scheduler"] = _replace(state["lr_scheduler"], scheduler_args)
    if "trainer.monitor" in changes:
        state |= {"best": None, "epochs_since_best": 0}
    if "seed" in changes:
        state["random"] = fresh["random"]
    if state["batch"] and any(key in changes for key in ORDER_KEYS):
        notes.append(f"The interrupted epoch {state['epoch'] + 1} starts anew: its batches are others now.")
        state |= {"batch": 0, "train_metrics": fresh["train_metrics"]}
    return state, notes


def _changed(changes: dict[str, tuple[Any, Any]], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): now for key, (_, now) in changes.items() if key.startswith(prefix)}


def _replace(state: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Only what the state knows: an optimizer keeps its arguments there, and a scheduler most of them."""
    return {key: values.get(key, value) for key, value in state.items()}
