"""Who wins when a run is resumed with a changed config: the person who changed it."""

import logging
from typing import Any

# Keys that change which samples come in which order: an epoch that was interrupted starts anew.
ORDER_KEYS = ("seed", "data_loader.type", "data_loader.args.batch_size", "data_loader.args.shuffle",
              "data_loader.args.validation_split", "data_loader.args.stratify")  # fmt: skip

logger = logging.getLogger(__name__)


def differences(then: Any, now: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Every dotted key whose value differs between two configs: key -> (then, now). None stands for no value."""
    if not (isinstance(then, dict) and isinstance(now, dict)):
        return {path: (then, now)} if then != now else {}
    found: dict[str, tuple[Any, Any]] = {}
    for key in then | now:
        found |= differences(then.get(key), now.get(key), f"{path}.{key}".lstrip("."))
    return found


def take_over_changes(checkpoint: dict[str, Any], config: dict[str, Any], fresh: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint's state, changed to what `config` says now; every change is logged.

    fresh: the state of the untrained trainer, for the parts whose type has changed.
    """
    changes = differences(checkpoint["config"], config)
    for key, (then, now) in changes.items():
        logger.info("%s was %s in the checkpoint and is %s now; the new value wins.", key, then, now)
    state = checkpoint | {"config": config}
    for part in ("optimizer", "lr_scheduler"):
        if f"{part}.type" in changes or part in changes:
            logger.info("%s starts afresh: it is of another type.", part)
            state[part] = fresh[part]
    arguments = {key.rsplit(".", 1)[-1]: now for key, (_, now) in changes.items() if key.startswith("optimizer.args.")}
    state["optimizer"] = _change_optimizer(state["optimizer"], arguments)
    if state["lr_scheduler"] is not None:
        scheduler = {
            key.rsplit(".", 1)[-1]: now for key, (_, now) in changes.items() if key.startswith("lr_scheduler.args.")
        }
        if "lr" in arguments:
            scheduler |= {"base_lrs": [arguments["lr"]] * len(state["optimizer"]["param_groups"])}
        state["lr_scheduler"] = state["lr_scheduler"] | {
            k: v for k, v in scheduler.items() if k in state["lr_scheduler"]
        }
    if "trainer.monitor" in changes:
        state |= {"best": None, "epochs_since_best": 0}
    if "seed" in changes:
        state["random"] = fresh["random"]
    if state["batch"] and any(key in changes for key in ORDER_KEYS):
        logger.info("The interrupted epoch %d starts anew: its batches are others now.", state["epoch"] + 1)
        state |= {"batch": 0, "train_metrics": fresh["train_metrics"]}
    return state


def _change_optimizer(state: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    if "lr" in arguments:
        arguments = arguments | {"initial_lr": arguments["lr"]}
    groups = [group | {k: v for k, v in arguments.items() if k in group} for group in state["param_groups"]]
    return state | {"param_groups": groups}
