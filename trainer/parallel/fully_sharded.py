"""FSDP2: of a model larger than a device, each process holds a part of every weight, gradient and moment."""

from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

from utils.errors import UserError
from utils.parallel import world_size

# Options that cannot be, and their "off".
UNFIT = {"ema": None, "compile": False, "channels_last": False, "sync_batchnorm": False, "draw": None}


def place_model(model: nn.Module, device: torch.device, options: dict[str, Any]) -> nn.Module:
    """The model on a device. With `parallel: fsdp`, this process's part of it; an optimizer has to come after that.

    A forward or a backward pass puts one block together at a time: each entry of a ModuleList or Sequential, and what
    is left. options: those of the trainer. Raises UserError for those that cannot be, and in a single process.
    """
    if options.get("parallel", "ddp") == "ddp":  # a trainer of one's own may not know it
        return model.to(device)
    if unfit := [name for name, off in UNFIT.items() if options.get(name, off) != off]:
        raise UserError(f"trainer.parallel: fsdp cannot be with trainer.{unfit[0]}")
    if options.get("amp") == "fp16":
        raise UserError("trainer.parallel: fsdp cannot be with trainer.amp=fp16; use bf16")
    if world_size() == 1:
        raise UserError("trainer.parallel: fsdp needs several processes: torchrun --nproc_per_node=2 train.py ...")
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    halves = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    how = {
        "mesh": init_device_mesh(device.type, (world_size(),)),
        "reshard_after_forward": True,  # of the whole model too, so that its parameters are always the parts
        "mp_policy": halves if options.get("amp") == "bf16" else MixedPrecisionPolicy(),
    }
    for block in _blocks(model):
        fully_shard(block, **how)
    fully_shard(model, **how)
    return model.to(device)


def is_sharded(model: nn.Module) -> bool:
    """Whether each process holds its own rows of the model's weights."""
    return hasattr(model, "set_requires_gradient_sync")


def recompute_blocks(model: nn.Module) -> None:
    """Keep only each block's input for the backward pass, which runs the block again; see torch.utils.checkpoint.

    Raises UserError if no block has several layers, or one has a batch norm, which would count each batch twice.
    """
    blocks = [block for block in _blocks(model) if next(block.children(), None) is not None]
    if not blocks:
        raise UserError("trainer.recompute_activations: the model has no nn.ModuleList or nn.Sequential of blocks, "
                        "each of several layers")  # fmt: skip
    if any(isinstance(part, _NormBase) and part.track_running_stats for block in blocks for part in block.modules()):
        raise UserError("trainer.recompute_activations: a batch norm would count each batch twice")
    for block in blocks:
        vars(block)["forward"] = partial(checkpoint, block.forward, use_reentrant=False)


def _blocks(module: nn.Module) -> list[nn.Module]:
    """The outermost entries of ModuleLists and Sequentials that have weights."""
    if isinstance(module, nn.ModuleList | nn.Sequential):
        return [child for child in module if next(child.parameters(), None) is not None]
    return [block for child in module.children() for block in _blocks(child)]
