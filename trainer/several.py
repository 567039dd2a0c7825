"""Several optimizers, or schedulers, of one training, by name: trainers step each, checkpoints hold them as one."""

from collections.abc import Callable, Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from utils.checkpoint import load_states, states_of


class Optimizers(Optimizer):
    """A trainer's `self.optimizer` where the config names several: `self.optimizer["generator"].step()`."""

    def __init__(self, optimizers: Mapping[str, Optimizer]):
        self._optimizers = dict(optimizers)
        self.defaults: dict[str, Any] = {}
        for optimizer in self._optimizers.values():  # for torch, as in utils/loop/schedule.py
            vars(optimizer)["_opt_called"] = True

    def __getitem__(self, name: str) -> Optimizer:
        return self._optimizers[name]

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those of all, one optimizer after the other."""
        return [group for optimizer in self._optimizers.values() for group in optimizer.param_groups]

    @property
    def state(self) -> dict[Any, Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What is kept for each parameter; each has one optimizer."""
        return {key: value for optimizer in self._optimizers.values() for key, value in optimizer.state.items()}

    def zero_grad(self, set_to_none: bool = True) -> None:
        for optimizer in self._optimizers.values():
            optimizer.zero_grad(set_to_none)

    def step(self, closure: Any = None) -> None:
        for optimizer in self._optimizers.values():
            optimizer.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        groups = iter(state_dict["param_groups"])
        for optimizer in self._optimizers.values():
            own = [next(groups) for _ in optimizer.param_groups]
            names = {name for group in own for name in group["params"]}
            state = {name: value for name, value in state_dict["state"].items() if name in names}
            optimizer.load_state_dict({"state": state, "param_groups": own})

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> Any:
        return [optimizer.register_step_pre_hook(hook) for optimizer in self._optimizers.values()]

    def register_step_post_hook(self, hook: Callable[..., Any]) -> Any:
        return [optimizer.register_step_post_hook(hook) for optimizer in self._optimizers.values()]


class Schedulers(LRScheduler):
    """The schedulers of some of them, stepped together; with a ReduceLROnPlateau among them, `PlateauSchedulers`."""

    def __init__(self, schedulers: Mapping[str, LRScheduler]):
        self._schedulers = dict(schedulers)

    def __getitem__(self, name: str) -> LRScheduler:
        return self._schedulers[name]

    @property
    def last_epoch(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How often they were stepped."""
        return next(iter(self._schedulers.values())).last_epoch

    def step(self, *metric: Any) -> None:
        for scheduler in self._schedulers.values():
            scheduler.step(*metric if isinstance(scheduler, ReduceLROnPlateau) else ())

    def state_dict(self) -> dict[str, Any]:
        return states_of(self._schedulers)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        load_states(self._schedulers, state_dict)


class PlateauSchedulers(Schedulers, ReduceLROnPlateau):
    """Schedulers of which some follow the monitor. Raises ValueError if one wants it to grow, another to fall."""

    def __init__(self, schedulers: Mapping[str, LRScheduler]):
        super().__init__(schedulers)
        modes = {scheduler.mode for scheduler in schedulers.values() if isinstance(scheduler, ReduceLROnPlateau)}
        if len(modes) > 1:
            raise ValueError('there is one monitor, and ReduceLROnPlateau has mode "min" here and "max" there')
        [self.mode] = modes
