"""From a trainer's objects to tensors and plain values, and back."""

import inspect
from collections import Counter, OrderedDict
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
    states = {}
    for key, thing in stateful.items():
        states[key] = _optimizer_state(thing, names) if isinstance(thing, Optimizer) else thing.state_dict()
    return states


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


def snapshot(value: Any) -> Any:
    """A deep copy of a state on the CPU, which later steps do not change.

    Raises TypeError, naming the place, for what `torch.load(..., weights_only=True)` would refuse to load.
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    if isinstance(value, Tensor):
        return value.detach().clone() if value.is_cpu else value.detach().cpu()
    if kind is list or kind is tuple:
        return kind([item if type(item) in PLAIN else snapshot(item) for item in value])
    if kind is Counter:  # MultiStepLR's milestones
        return Counter(value)
    if kind is not dict and kind is not OrderedDict:
        raise TypeError(f"a {kind.__name__} cannot be kept: a checkpoint holds tensors and plain values only")
    copy = {}
    for key, item in value.items():
        try:
            copy[key] = item if type(item) in PLAIN else snapshot(item)
        except TypeError as error:
            raise TypeError(f"{key}.{error}") from None
    return copy


# ------------------------------------------------------------------------------------------ optimizers, schedulers


def _parameter_names(stateful: dict[str, Any]) -> dict[nn.Parameter, str]:
    modules = {key: thing for key, thing in stateful.items() if isinstance(thing, nn.Module)}
    return {
        parameter: f"{key}.{name}" for key, model in modules.items() for name, parameter in model.named_parameters()
    }


def _optimizer_state(optimizer: Optimizer, names: dict[nn.Parameter, str]) -> dict[str, Any]:
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    try:
        order = [names[parameter] for parameter in trained]
    except KeyError:
        raise ValueError("an optimizer trains a parameter of a module that self.stateful does not hold") from None
    state = optimizer.state_dict()
    groups = [group | {"params": [order[i] for i in group["params"]]} for group in state["param_groups"]]
    return {"state": {order[i]: value for i, value in state["state"].items()}, "param_groups": groups}


def _load_optimizer(optimizer: Optimizer, state: dict[str, Any], names: dict[nn.Parameter, str]) -> None:
    parameters = {names[parameter]: parameter for group in optimizer.param_groups for parameter in group["params"]}
    numbers = {name: i for i, name in enumerate(parameters)}
    groups, of_each = [], {}
    for loaded, own in zip(state["param_groups"], optimizer.param_groups, strict=True):
        own_names = [names[parameter] for parameter in own["params"]]
        if set(loaded["params"]) != set(own_names):
            raise ValueError("the optimizer trains other parameters than the checkpoint's")
        options = {key: value for key, value in loaded.items() if key in own and key not in ("params", *KERNELS)}
        _require_alike(options, own)
        groups.append(own | options | {"params": [numbers[name] for name in own_names]})
        for name in own_names:
            values = state["state"].get(name, {})
            of_each[numbers[name]] = {key: _fitted(values[key], parameters[name], key, own) for key in values}
    optimizer.load_state_dict({"state": {i: values for i, values in of_each.items() if values}, "param_groups": groups})


def _fitted(value: Any, parameter: nn.Parameter, key: str, group: dict[str, Any]) -> Any:
    """What an optimizer keeps for a parameter, laid out in memory as that is. Fused kernels look at neither."""
    if not isinstance(value, Tensor):
        return value
    if value.shape == parameter.shape:
        return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    is_one = value.numel() == 1 and (key == "step" or not group.get("fused"))
    if not is_one and (group.get("fused") or value.dim() != parameter.dim()):  # Adafactor keeps rows and columns
        raise ValueError(f"the optimizer's {key} is {list(value.shape)}, its parameter {list(parameter.shape)}")
    return value


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
        if not _is_alike(value, fresh[key]):
            raise ValueError(f"{key} is {str(value)[:60]}, which cannot be")


def _is_alike(value: Any, expected: Any) -> bool:
    if isinstance(expected, str | dict):
        return isinstance(value, type(expected))
    if isinstance(expected, list | tuple):
        return isinstance(value, list | tuple) and all(map(_is_alike, value, expected))
    return not isinstance(value, str | bytes | dict | list | tuple)
