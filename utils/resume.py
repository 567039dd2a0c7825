"""Who wins when a run is resumed with a changed config: the person who changed it."""

import warnings
from typing import Any

from torch.optim.lr_scheduler import LRScheduler

# A change of these changes the batches or what is gathered of them: an epoch that was interrupted starts anew.
EPOCH_KEYS = ("seed", "data_loader.", "loss", "metrics")
HARMLESS_KEYS = ("data_loader.args.num_workers", "data_loader.args.data_dir", "data_loader.args.download")
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


def wind_forward(lr_scheduler: LRScheduler, epochs: int) -> None:
    """Bring a fresh scheduler, and its optimizer's learning rate, to where they are after some epochs."""
    with warnings.catch_warnings(action="ignore"):  # that the optimizer has not stepped is right here
        for _ in range(epochs):
            lr_scheduler.step()


def take_over_changes(
    checkpoint: dict[str, Any], config: dict[str, Any], fresh: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The checkpoint's state, changed to what `config` says now, and a note for each change.

    fresh: the state of a trainer made from `config`, its scheduler wound forward to the checkpoint's epoch. A changed
        learning rate or schedule thus goes on as if it had been so from the start.
    """
    changes = differences(checkpoint["config"], config)
    notes = [_note(key, then, now) for key, (then, now) in changes.items()]
    state = dict(checkpoint)
    optimizer = {key.split(".")[-1] for key in changes if key.startswith("optimizer")}
    schedule = {key for key in changes if key.startswith("lr_scheduler")} | ({"lr"} & optimizer)
    plateau = (config.get("lr_scheduler") or {}).get("type") == "ReduceLROnPlateau"
    if "trainer.monitor" in changes:
        state |= {"best": None, "epochs_since_best": 0}
        schedule |= {"monitor"} if plateau else set()

    if optimizer - {*FREE_OPTIMIZER_ARGS}:
        notes.append("The optimizer starts afresh: what it remembered is of no use to it now.")
        state["optimizer"] = fresh["optimizer"]
    elif optimizer or schedule:
        groups = [dict(group) for group in fresh["optimizer"]["param_groups"]]
        if plateau and "lr" not in optimizer:  # what it has lowered stays lowered
            for group, old in zip(groups, checkpoint["optimizer"]["param_groups"], strict=True):
                group["lr"] = old["lr"]
        state["optimizer"] = checkpoint["optimizer"] | {"param_groups": groups}
    if schedule:
        state["lr_scheduler"] = fresh["lr_scheduler"]

    if "seed" in changes:
        state["random"] = fresh["random"]
    if state["batch"] and any(key.startswith(EPOCH_KEYS) and key not in HARMLESS_KEYS for key in changes):
        notes.append(f"The interrupted epoch {state['epoch'] + 1} starts anew: its batches or metrics are others now.")
        state |= {key: fresh[key] for key in ("batch", "train_metrics") if key in fresh}
    return state, notes


def _note(key: str, then: Any, now: Any) -> str:
    if key in FIXED_KEYS:
        return f"{key} is {now} now, but a resumed run stays in its folder."
    return f"{key} was {then} in the checkpoint and is {now} now; the new value wins."
