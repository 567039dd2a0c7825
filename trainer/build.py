"""The optimizers and schedulers that a config names, CPU threads, and a trainer that only evaluates."""

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from trainer.several import Optimizers, PlateauSchedulers, Schedulers
from utils.checkpoint import load_numbers, load_states
from utils.config import named
from utils.errors import ConfigError, did_you_mean, has_to_fit

logger = logging.getLogger(__name__)


def build_optimizer(config: Any, model: Any) -> Optimizer:
    """The optimizer of a model; of several by name, `Optimizers`, each of the model with its name."""
    parts = named(config["optimizer"])
    if "" in parts:
        return _build_one(config, "optimizer", parts[""], model)
    return Optimizers({name: _build_one(config, f"optimizer.{name}", parts[name], model[name]) for name in parts})


def build_scheduler(config: Any, optimizer: Any) -> LRScheduler | None:
    """The learning rate's scheduler; of several by name, `Schedulers`, each of the optimizer with its name."""
    names = named(config["lr_scheduler"])
    if "" in names:
        return config.init_obj("lr_scheduler", optimizer)
    schedulers = {name: config.init_obj(f"lr_scheduler.{name}", optimizer[name]) for name in names}
    has_plateau = any(isinstance(scheduler, ReduceLROnPlateau) for scheduler in schedulers.values())
    try:
        return PlateauSchedulers(schedulers) if has_plateau else Schedulers(schedulers)
    except ValueError as error:
        raise ConfigError("lr_scheduler", [str(error)]) from error


def set_threads(wanted: int | None, model: nn.Module, batch_size: int | None) -> None:
    """Use so many CPU threads, at most one per core. None: 1 for a small network of matrices, where more cost time."""
    n_multiplications = (batch_size or 1) * sum(weight.numel() for weight in model.parameters())
    on_sequences = any(isinstance(m, nn.RNNBase | nn.MultiheadAttention | nn.Embedding) for m in model.modules())
    on_images = any(weight.dim() > 2 for weight in model.parameters())
    if wanted is not None:
        n_cores = os.cpu_count() or wanted
        if wanted > n_cores:
            logger.warning("threads is %d: this machine has no more CPU cores.", n_cores)
        torch.set_num_threads(min(wanted, n_cores))
    elif n_multiplications < 20_000_000 and not on_sequences and not on_images:  # those use each weight many times
        torch.set_num_threads(1)


def build_tester(config: Any, checkpoint: dict[str, Any], device: Any, *metrics: Callable) -> Any:
    """A trainer that only evaluates: the trained model, and what else a checkpoint holds of the trainer.

    metrics: more of them than the config names.
    """
    model = config.trained_model(checkpoint).to(device)
    tester = config.init_trainer(model, config.init_ftn("loss", device=device), [*config.init_metrics(), *metrics])
    load_for_test(tester, checkpoint)
    return tester


def load_for_test(tester: Any, state: dict[str, Any]) -> None:
    """Give it the numbers and the parts that a subclass has added, but no optimizer. The model is given already."""
    parts = {name: part for name, part in tester._parts().items() if not isinstance(part, Optimizer | LRScheduler)}
    del parts["model"]
    with has_to_fit():
        load_states(parts, state)
        load_numbers([name for name in tester.saved_numbers if name in state], state, vars(tester))


def _build_one(config: Any, key: str, entry: dict[str, Any], model: nn.Module) -> Optimizer:
    """The optimizer of a model's trainable weights. Adam and AdamW are fused, two to four times as fast.

    `optimizer.freeze` names the layers that do not learn, `optimizer.groups` those with options of their own, such as a
    learning rate. A layer's name stands for all layers in it; of several that fit a weight, the longest is taken.
    Raises ConfigError for a name that no layer has, and if no weight is left to learn.
    """
    options = entry.get("groups", {})
    _check_names(model, f"{key}.freeze", entry.get("freeze", []))
    _check_names(model, f"{key}.groups", options)
    freeze(model, entry.get("freeze", []))
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in ("", *options)}  # "": those without a group
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[max((prefix for prefix in groups if _is_in(name, prefix)), key=len)].append(parameter)
    trainable = [parameter for group in groups.values() for parameter in group]
    if not trainable:
        raise ConfigError(key, ["all weights of the model are frozen: there is nothing to train"])
    decided = entry.get("args", {}).keys() & {"fused", "foreach", "capturable", "differentiable"}
    fused = entry["type"] in ("Adam", "AdamW") and not decided and all(p.is_floating_point() for p in trainable)
    of_groups = [{"params": group} | options.get(name, {}) for name, group in groups.items() if group]
    return config.init_obj(key, of_groups, **{"fused": True} if fused else {})


def freeze(model: nn.Module, names: Iterable[str]) -> None:
    """Let neither the weights nor the running statistics of the named layers change."""
    for prefix in names:
        for name, parameter in model.named_parameters():
            if _is_in(name, prefix):
                parameter.requires_grad_(False)
        for name, module in model.named_modules():
            if _is_in(name, prefix) and isinstance(module, _NormBase):
                module.register_forward_pre_hook(_stay_in_evaluation_mode)  # `model.train()` would wake it


def _stay_in_evaluation_mode(module: nn.Module, inputs: Any) -> None:
    module.eval()


def _is_in(name: str, prefix: str) -> bool:
    """Whether a weight or a layer is `prefix` or in the layer of that name; all are in ""."""
    return f"{name}.".startswith(f"{prefix}." if prefix else "")


def _check_names(model: nn.Module, key: str, names: Iterable[str]) -> None:
    known = [name for name, _ in (*model.named_modules(), *model.named_parameters()) if name]
    if faults := [f"no layer is called {name!r}{did_you_mean(name, known)}" for name in names if name not in known]:
        raise ConfigError(key, faults)
