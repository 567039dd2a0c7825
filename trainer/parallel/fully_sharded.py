"""FSDP2: of a model larger than a device, each process holds a part of every weight, gradient and moment."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from utils.errors import UserError
from utils.parallel import world_size

UNFIT = {"ema": None, "compile": False, "channels_last": False, "sync_batchnorm": False, "draw": None}  # cannot be


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
        raise UserError("trainer.parallel: fsdp needs several processes: torchrun --nproc_per_node=2 train.py ...; one "
                        "goes on with -s trainer.parallel=ddp")  # fmt: skip
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

    Raises UserError if no block has several layers, and in a step of one that would not do the same again.
    """
    blocks = [block for block in _blocks(model) if next(block.children(), None) is not None]
    if not blocks:
        raise UserError("trainer.recompute_activations: the model has no nn.ModuleList or nn.Sequential of blocks, "
                        "each of several layers")  # fmt: skip
    for block in blocks:
        vars(block)["forward"] = partial(_recomputed, block, block.forward)


def _recomputed(block: nn.Module, forward: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*inputs, **named)
    before = [(buffer, buffer._version) for buffer in block.buffers()]
    output = checkpoint(forward, *inputs, use_reentrant=False, **named)
    for (buffer, version), now in zip(before, block.buffers(), strict=True):
        if now is not buffer or now._version != version:
            raise UserError(f"trainer.recompute_activations: a {type(block).__name__} changes a buffer in its forward "
                            "pass, as a batch norm does, and would do that twice for each batch")  # fmt: skip
    return output


def _blocks(module: nn.Module) -> list[nn.Module]:
    """The outermost entries of ModuleLists and Sequentials that have weights."""
    if isinstance(module, nn.ModuleList | nn.Sequential):
        return [child for child in module if next(child.parameters(), None) is not None]
    return [block for child in module.children() for block in _blocks(child)]
