"""What is trained: the configs of the examples, on synthetic data of the same shape."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from base import InMemoryDataset
from data_loader.mnist import MEAN, STD
from data_loader.transforms import Normalize
from utils.config import apply_settings, read_json

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


@dataclass(frozen=True)
class Workload:
    """One training to be timed.

    settings: a config. The files that its data loader would read are not needed:
    samples: makes so many of them, of the shape and dtype that the data loader would hold in memory.
    n_samples: how many to train on.
    model: makes a model that no config can name; by default the config's.
    share_of_epochs: how many of the config's epochs the frameworks are given, which take longer for them.
    is_read_by_image: the frameworks get images instead of tensors that were transformed beforehand.
    """

    name: str
    settings: dict[str, Any]
    samples: Callable[[int], InMemoryDataset]
    n_samples: int
    model: Callable[[], nn.Module] | None = None
    share_of_epochs: float = 1.0
    is_read_by_image: bool = False

    @property
    def batch_size(self) -> int:
        return self.settings["data_loader"]["args"]["batch_size"]

    def quick(self) -> "Workload":
        """As little of it as shows that it works: two epochs of two batches, or of one if that is all."""
        settings = copy.deepcopy(self.settings)
        settings["trainer"]["epochs"] = 2
        n_samples = min(self.n_samples, 2 * self.batch_size)
        return replace(self, settings=settings, n_samples=n_samples, share_of_epochs=1.0)


def example(file: str, *changes: str) -> dict[str, Any]:
    """An example's config with changes, on one thread and without validation, which the loop by hand leaves out."""
    settings = read_json(CONFIGS / file)
    apply_settings(settings, ["threads=1", "data_loader.args.validation_split=0", "trainer.monitor=min loss", *changes])
    return settings


# ---- Synthetic samples. They can be learned: a network that noise has killed has gradients of 0, then Adam's averages
# become denormal numbers, and a step takes the CPU twice as long.


# Each from a generator of its own: contestants in different processes get the same samples.


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@cache
def images(shape: tuple[int, ...], n_samples: int) -> InMemoryDataset:
    """Bytes (n, *shape), as bright as MNIST's and standardized batch by batch like them, of ten classes.

    A fifth of an image's pixels come from the pattern of its class, the others are random.
    """
    source = generator()

    def draw(n: int) -> Tensor:
        return (torch.randint(256, (n, *shape), generator=source) < 34).to(torch.uint8) * 255

    labels = torch.randint(10, (n_samples,), generator=source)
    is_pattern = torch.rand(n_samples, *shape, generator=source) < 0.2
    return InMemoryDataset(draw(10)[labels].where(is_pattern, draw(n_samples)), labels, Normalize(MEAN, STD))


@cache
def table(n_features: int, n_samples: int) -> InMemoryDataset:
    """Float32 (n, features) and (n, 1), a linear function of them with noise."""
    numbers = torch.randn(n_samples, n_features + 1, generator=generator())
    return InMemoryDataset(numbers[:, :-1].contiguous(), numbers.sum(dim=1, keepdim=True))


@cache
def parabola(n_samples: int) -> InMemoryDataset:
    """Float32 (n, 1) and (n, 1)."""
    source = generator()
    x = torch.empty(n_samples, 1).uniform_(-15, 15, generator=source)
    return InMemoryDataset(x, x**2 + 3 + torch.randn(n_samples, 1, generator=source))


@cache
def signs(n_samples: int) -> InMemoryDataset:
    """Float32 (n, 1) and the class, 1 where that number, with noise, is above 0."""
    x, noise = torch.randn(2, n_samples, 1, generator=generator())
    return InMemoryDataset(x, (x + noise > 0).long().squeeze(1))


# ---- the workloads

MNIST = Workload(
    "mnist-mlp",
    example("mnist_mlp.json", 'metrics=["accuracy", "top_k_acc"]', "trainer.epochs=1"),
    partial(images, (1, 28, 28)),
    n_samples=60_000,
)
MNIST_IMAGES = replace(MNIST, name="mnist-mlp-images", is_read_by_image=True)
CALIFORNIA = Workload(
    "california-mlp",
    example("california_housing.json", "trainer.epochs=25"),
    partial(table, 8),
    n_samples=16_512,
    share_of_epochs=0.2,
)
QUADRATIC = Workload(
    "quadratic",
    example("quadratic_regression.json", "trainer.monitor=off"),
    parabola,
    n_samples=1000,
    share_of_epochs=0.02,
)
QUADRATIC_BEST = replace(
    QUADRATIC, name="quadratic-best", settings=example("quadratic_regression.json", "trainer.early_stop=10000")
)
LENET = Workload(
    "lenet",
    example("mnist_lenet.json", 'optimizer.args={"lr": 0.001}', "lr_scheduler=null", "trainer.epochs=1"),
    partial(images, (1, 28, 28)),
    n_samples=25_600,
)
TRAINING = [MNIST, CALIFORNIA, QUADRATIC, QUADRATIC_BEST, LENET]

# The same plain optimizer on both sides, so that what differs is the bookkeeping.
BOOKKEEPING = Workload(
    "bookkeeping",
    example(
        "mnist_mlp.json",
        "arch.args.sizes=[1, 2]",
        "data_loader.args.batch_size=4",
        'optimizer={"type": "SGD", "args": {"lr": 0.001, "foreach": false, "fused": false}}',
        'metrics=["accuracy", {"type": "top_k_acc", "args": {"k": 1}}]',
        "trainer.epochs=1",
    ),
    signs,
    n_samples=40_000,
)


def resnet18() -> nn.Module:
    """torchvision's, with ten classes."""
    from torchvision.models import resnet18

    return resnet18(num_classes=10)


RESNET = Workload(
    "resnet18",
    example(
        "mnist_lenet.json",
        'optimizer={"type": "SGD", "args": {"lr": 0.1, "momentum": 0.9}}',
        "lr_scheduler=null",
        "loss=cross_entropy",
        "trainer.epochs=1",
        "trainer.amp=bf16",
        "trainer.channels_last=true",
    ),
    partial(images, (3, 32, 32)),
    n_samples=50_000,
    model=resnet18,
)
