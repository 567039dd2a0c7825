"""Random numbers that can be repeated: one seed for everything, and states that a checkpoint can hold."""

import random
from array import array
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch on every device, and ask cuDNN for repeatable kernels."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def derive_seed(*numbers: int) -> int:
    """A 64-bit seed from several numbers, such as (seed, epoch, sample). Neighbours give unrelated seeds."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def random_state() -> dict[str, Any]:
    """The state of every generator, in tensors and plain values; the long ones as bytes, which are quick to copy."""
    version, words, next_gauss = random.getstate()
    name, keys, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "python": (version, array("I", words).tobytes(), next_gauss),
        "numpy": (name, np.asarray(keys).tobytes(), *rest),
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Undo everything drawn since `random_state()`. A GPU's state is skipped where there is no such GPU."""
    version, words, next_gauss = state["python"]
    random.setstate((version, tuple(array("I", words)), next_gauss))
    name, keys, position, *gauss = state["numpy"]
    if len(keys) != 624 * 4 or not 0 <= position <= 624:  # NumPy does not look, and would read foreign memory
        raise ValueError(f"NumPy's random state is at word {position} of {len(keys) // 4}; it has 624")
    np.random.set_state((name, np.frombuffer(keys, np.uint32), position, *gauss))
    torch.set_rng_state(state["torch"])
    for device, cuda_state in zip(range(torch.cuda.device_count()), state["cuda"], strict=False):
        torch.cuda.set_rng_state(cuda_state, device)
