"""From a trainer's objects to tensors and plain values, and back."""

import inspect
import logging
import math
from collections.abc import Iterable, Set
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from utils.errors import UserError, escape
from utils.parallel import joined, spread

PLAIN = (bool, int, float, str, bytes, type(None))
# How an optimizer computes was decided when it was made, and torch.amp.GradScaler goes by that.
KERNELS = ("fused", "foreach", "capturable", "differentiable")

logger = logging.getLogger(__name__)


def states_of(stateful: dict[str, Any]) -> dict[str, Any]:
    """The state of each object, by its key. An optimizer's goes by the names of its parameters, not by their order."""
    names = _parameter_names(stateful)
    return {
        key: _optimizer_state(thing, names) if isinstance(thing, Optimizer) else thing.state_dict()
        for key, thing in stateful.items()
    }


def load_states(stateful: dict[str, Any], states: dict[str, Any]) -> None:
    """Give each object its state; one without, such as a part that is new since the checkpoint, stays as it is."""
    names = _parameter_names(stateful)
    for key, thing in stateful.items():
        state = states.get(key)
        if not state:
            if key not in states:
                logger.warning("%s: not in the checkpoint, so it begins anew", key)
            continue
        if isinstance(thing, nn.Module):
            load_model(thing, state)
        elif isinstance(thing, Optimizer):
            _load_optimizer(thing, state, names)
        elif isinstance(thing, LRScheduler):  # what its constructor was given is the config's to say
            given = inspect.signature(type(thing)).parameters.keys() - {"last_epoch"}
            thing.load_state_dict(_known(state, thing.state_dict(), given))
        else:
            thing.load_state_dict(state)


def load_numbers(names: Iterable[str], state: dict[str, Any], attributes: dict[str, Any]) -> None:
    """Set attributes, of these names, that are counts or numbers. Raises ValueError for anything else."""
    for name in names:
        is_count = type(state[name]) is int and 0 <= state[name] < 2**53
        is_number = state[name] is None or (type(state[name]) is float and math.isfinite(state[name]))
        if not is_count and (isinstance(attributes[name], int) or not is_number):
            raise ValueError(f"{name} is {state[name]}")
    attributes |= {name: state[name] for name in names}


def load_model(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Load weights into a model. Raises UserError, naming the keys that differ, for another architecture."""
    own = model.state_dict()
    theirs, ours = _shapes(state), _shapes(own)
    faults = [f"{key} is missing" for key in ours if key not in theirs]
    for key, shape in theirs.items():
        if key not in ours:
            faults.append(f"{escape(str(key)[:100])} is not in the model")
        elif shape != ours[key]:
            faults.append(f"{key} is {shape}, the model's is {ours[key]}")
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise UserError(f"the checkpoint is from another architecture: {'; '.join(faults[:5])}{more}")
    model.load_state_dict({key: spread(value, own[key]) for key, value in state.items()})


def trained_weights(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The weights to evaluate or export: the moving average, where the run kept one (trainer.ema)."""
    average = dict(checkpoint.get("ema", {}))
    n_averaged = average.pop("n_averaged", None)
    if not isinstance(n_averaged, Tensor) or not n_averaged.any():  # nothing was averaged yet
        return checkpoint["model"]
    return {name.removeprefix("module."): weight for name, weight in average.items()}


def _shapes(state: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value.shape) if isinstance(value, Tensor) else "no tensor" for key, value in state.items()}


def snapshot(value: Any, place: str = "the state") -> Any:
    """A deep copy on the CPU. Raises TypeError, naming the place, for what a checkpoint cannot hold."""
    if isinstance(value, Tensor):
        return value.detach().clone() if value.is_cpu else value.detach().cpu()
    if isinstance(value, dict):  # OrderedDict and Counter too; torch's own objects load plain ones as well
        return {key: snapshot(item, f"{place}.{key}") for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(snapshot(item, place) for item in value)
    if type(value) not in PLAIN:
        raise TypeError(f"{place}: a {type(value).__name__} cannot be kept, only tensors and plain values")
    return value


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
    groups, remembered = [], {}
    for own, loaded in zip(optimizer.param_groups, state["param_groups"], strict=True):
        parameters = {names[parameter]: parameter for parameter in own["params"]}
        if parameters.keys() != set(loaded["params"]):
            raise ValueError("the optimizer trains other parameters than the checkpoint's")
        groups.append(own | _known(loaded, own, {"params", *KERNELS}) | {"params": list(parameters)})
        for name, values in state["state"].items():
            if name in parameters:
                parameter = parameters[name]
                remembered[name] = {key: _fitted(key, joined(value), parameter, own) for key, value in values.items()}
    optimizer.load_state_dict({"state": remembered, "param_groups": groups})  # names do as well as numbers


def _fitted(key: str, value: Any, parameter: nn.Parameter, group: dict[str, Any]) -> Any:
    """What an optimizer keeps for a parameter, laid out in memory as that is: fused kernels look at no shape."""
    if not isinstance(value, Tensor):
        return value
    if value.shape == parameter.shape and key != "step":
        return torch.empty_like(parameter, dtype=value.dtype).copy_(spread(value, parameter))
    is_number = value.dim() == 0 and (key == "step" or not group.get("fused"))  # ASGD and NAdam have more of them
    is_factor = value.dim() == parameter.dim() > 1 and not group.get("fused")  # Adafactor keeps rows and columns
    if is_number or (is_factor and all(n in (1, m) for n, m in zip(value.shape, parameter.shape, strict=True))):
        return value
    raise ValueError(f"the optimizer's {key} is {list(value.shape)}, its parameter {list(parameter.shape)}")


def _known(state: dict[str, Any], fresh: dict[str, Any], without: Set[str]) -> dict[str, Any]:
    """What a fresh state has too. Raises ValueError where that is of another kind: torch would take any value."""
    known = {key: value for key, value in state.items() if key in fresh and key not in without}
    for key, value in known.items():
        if _kind(value) != _kind(fresh[key]):
            raise ValueError(f"{key} is {str(value)[:60]}, which cannot be")
    return known


def _kind(value: Any) -> Any:
    """Numbers, None and tensors are of one kind; lists and tuples are as their items."""
    if isinstance(value, list | tuple):
        return [_kind(item) for item in value]
    return next((kind for kind in (str, bytes, dict) if isinstance(value, kind)), None)
