"""From a trainer's objects to tensors and plain values, and back."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from utils.errors import UserError, escape

PLAIN = (bool, int, float, str, bytes, type(None))
# How an optimizer computes was decided when it was made, and torch.amp.GradScaler goes by that.
KERNELS = ("fused", "foreach", "capturable", "differentiable")


def states_of(stateful: dict[str, Any]) -> dict[str, Any]:
    """The state of each object, by its key. An optimizer's goes by the names of its parameters, not by their order."""
    names = _parameter_names(stateful)
    return {
        key: _optimizer_state(thing, names) if isinstance(thing, Optimizer) else thing.state_dict()
        for key, thing in stateful.items()
    }


def load_states(stateful: dict[str, Any], states: dict[str, Any]) -> None:
    """Give each object its state. One without, such as a part that is new since the checkpoint, stays as it is.

    Raises UserError for a model of another architecture; ValueError, TypeError or KeyError for another state that does
    not fit.
    """
    names = _parameter_names(stateful)
    for key, thing in stateful.items():
        state = states.get(key)
        if not state:
            continue
        if isinstance(thing, nn.Module):
            load_model(thing, state)
        elif isinstance(thing, Optimizer):
            _load_optimizer(thing, state, names)
        elif isinstance(thing, LRScheduler):
            _load_scheduler(thing, state)
        else:
            thing.load_state_dict(state)


def load_model(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Load weights into a model. Raises UserError, naming the keys that differ, for another architecture."""
    own = model.state_dict()
    faults = [f"{key} is missing" for key in own if key not in state]
    for key, value in state.items():
        shapes = [list(getattr(tensor, "shape", ())) for tensor in (value, own.get(key))]
        if key not in own:
            faults.append(f"{escape(str(key)[:100])} is not in the model")
        elif shapes[0] != shapes[1] or isinstance(value, Tensor) != isinstance(own[key], Tensor):
            faults.append(f"{key} is {shapes[0]}, the model's is {shapes[1]}")
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise UserError(f"the checkpoint is from another architecture: {'; '.join(faults[:5])}{more}")
    model.load_state_dict(dict(state))  # without the attributes that an OrderedDict can have


def snapshot(value: Any, place: str = "the state") -> Any:
    """A deep copy of a state on the CPU, which later steps do not change.

    Raises TypeError, naming the place, for what `torch.load(..., weights_only=True)` would refuse to load.
    """
    if isinstance(value, Tensor):
        return value.detach().clone() if value.is_cpu else value.detach().cpu()
    if isinstance(value, dict):  # OrderedDict and Counter too; torch's own objects load plain ones as well
        return {key: snapshot(item, f"{place}.{key}") for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(snapshot(item, place) for item in value)
    if type(value) not in PLAIN:
        raise TypeError(f"{place}: a {type(value).__name__} cannot be kept, only tensors and plain values")
    return value


# ------------------------------------------------------------------------------------------ optimizers, schedulers


def _parameter_names(stateful: dict[str, Any]) -> dict[Tensor, str]:
    modules = {key: thing for key, thing in stateful.items() if isinstance(thing, nn.Module)}
    return {
        parameter: f"{key}.{name}" for key, model in modules.items() for name, parameter in model.named_parameters()
    }


def _optimizer_state(optimizer: Optimizer, names: dict[Tensor, str]) -> dict[str, Any]:
    try:
        groups = [group | {"params": [names[p] for p in group["params"]]} for group in optimizer.param_groups]
        return {"state": {names[p]: values for p, values in optimizer.state.items()}, "param_groups": groups}
    except KeyError:
        raise ValueError("an optimizer trains a parameter of a module that self.stateful does not hold") from None


def _load_optimizer(optimizer: Optimizer, state: dict[str, Any], names: dict[Tensor, str]) -> None:
    groups, of_each, n = [], {}, 0
    for loaded, own in zip(state["param_groups"], optimizer.param_groups, strict=True):
        own_names = [names[parameter] for parameter in own["params"]]
        if set(loaded["params"]) != set(own_names):
            raise ValueError("the optimizer trains other parameters than the checkpoint's")
        options = {key: value for key, value in loaded.items() if key in own and key not in ("params", *KERNELS)}
        _require_alike(options, own)
        groups.append(own | options | {"params": list(range(n, n + len(own_names)))})
        for number, (name, parameter) in enumerate(zip(own_names, own["params"], strict=True), start=n):
            values = state["state"].get(name)
            if values:
                of_each[number] = {key: _fitted(key, value, parameter, own) for key, value in values.items()}
        n += len(own_names)
    optimizer.load_state_dict({"state": of_each, "param_groups": groups})


def _fitted(key: str, value: Any, parameter: nn.Parameter, group: dict[str, Any]) -> Any:
    """What an optimizer keeps for a parameter, laid out in memory as that is. A fused kernel looks at neither.

    Raises ValueError for a shape that no optimizer of torch has made.
    """
    if not isinstance(value, Tensor):
        return value
    if value.shape == parameter.shape and key != "step":
        return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    is_number = value.dim() == 0 and (key == "step" or not group.get("fused"))  # ASGD and NAdam have more of them
    is_factor = value.dim() == parameter.dim() > 1 and not group.get("fused")  # Adafactor keeps rows and columns
    if is_number or (is_factor and all(n in (1, m) for n, m in zip(value.shape, parameter.shape, strict=True))):
        return value
    raise ValueError(f"the optimizer's {key} is {list(value.shape)}, its parameter {list(parameter.shape)}")


def _load_scheduler(lr_scheduler: LRScheduler, state: dict[str, Any]) -> None:
    """Load how far a scheduler has come. What its constructor was given is the config's to say, and nothing is added.

    torch itself would set every key of the state as an attribute, methods included.
    """
    fresh = lr_scheduler.state_dict()
    given = inspect.signature(type(lr_scheduler)).parameters.keys() - {"last_epoch"}
    progress = {key: value for key, value in state.items() if key in fresh and key not in given}
    _require_alike(progress, fresh)
    lr_scheduler.load_state_dict(progress)


def _require_alike(state: dict[str, Any], fresh: dict[str, Any]) -> None:
    """Raise ValueError where a state holds another kind of value than a fresh one."""
    for key, value in state.items():
        if _kind(value) != _kind(fresh[key]):
            raise ValueError(f"{key} is {str(value)[:60]}, which cannot be")


def _kind(value: Any) -> Any:
    """Numbers are of one kind, None and tensors too; lists and tuples are as their items."""
    if isinstance(value, list | tuple):
        return [_kind(item) for item in value]
    return next((kind for kind in (str, bytes, dict) if isinstance(value, kind)), None)
