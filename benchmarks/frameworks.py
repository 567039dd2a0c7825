"""The same training in other frameworks, as their documentation writes it for people who care about speed.

All of them read a torch DataLoader, and gather the mean loss of an epoch. It is over tensors that were transformed
beforehand or, where the workload says so, over torchvision's MNIST, which makes a tensor of each image, as their own
examples do. They are spared what the template does besides: metrics, progress, log files and checkpoints.
"""

import importlib.util
import logging
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision import transforms
from torchvision.datasets import MNIST

from benchmarks.loops import all_samples, make_model, make_optimizer
from benchmarks.workloads import Workload
from data_loader.mnist import MEAN, STD
from parse_config import ConfigParser


class Parts(NamedTuple):
    """What every framework is given."""

    model: nn.Module
    criterion: Callable[[Tensor, Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    batches: DataLoader
    n_epochs: int


def torch_loop(parts: Parts) -> Callable[[], None]:
    """No framework: a loop by hand over the DataLoader."""
    model, criterion, optimizer, batches, n_epochs = parts

    def run() -> None:
        for _ in range(n_epochs):
            total = 0.0
            for data, target in batches:
                optimizer.zero_grad()
                loss = criterion(model(data), target)
                loss.backward()
                optimizer.step()
                total += loss.item()

    return run


def accelerate(parts: Parts) -> Callable[[], None]:
    from accelerate import Accelerator  # pyright: ignore[reportMissingImports]

    accelerator = Accelerator(cpu=True)
    model, optimizer, batches = accelerator.prepare(parts.model, parts.optimizer, parts.batches)

    def run() -> None:
        for _ in range(parts.n_epochs):
            total = 0.0
            for data, target in batches:
                optimizer.zero_grad()
                loss = parts.criterion(model(data), target)
                accelerator.backward(loss)
                optimizer.step()
                total += loss.item()

    return run


def ignite(parts: Parts) -> Callable[[], None]:
    from ignite.engine import create_supervised_trainer  # pyright: ignore[reportMissingImports]
    from ignite.metrics import Average  # pyright: ignore[reportMissingImports]

    trainer = create_supervised_trainer(parts.model, parts.optimizer, parts.criterion)
    Average().attach(trainer, "loss")
    return lambda: trainer.run(parts.batches, max_epochs=parts.n_epochs)


def lightning(parts: Parts) -> Callable[[], None]:
    from lightning.pytorch import LightningModule, Trainer  # pyright: ignore[reportMissingImports]

    class Module(LightningModule):
        def __init__(self):
            super().__init__()
            self.model = parts.model

        def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
            data, target = batch
            loss = parts.criterion(self.model(data), target)
            self.log("loss", loss, on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return parts.optimizer

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = Trainer(
        accelerator="cpu", devices=1, max_epochs=parts.n_epochs, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    return lambda: trainer.fit(Module(), parts.batches)


class Images(MNIST):
    """torchvision's MNIST, of images that were made instead of read from its files."""

    def __init__(self, data: Tensor, targets: Tensor, transform: Callable):
        self.data, self.targets = data.squeeze(1), targets
        self.transform, self.target_transform = transform, None


def make_dataset(workload: Workload) -> "TensorDataset | Images":
    """What the DataLoader reads."""
    if not workload.is_read_by_image:
        return TensorDataset(*all_samples(workload))
    samples = workload.samples(workload.n_samples)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    return Images(samples.data, samples.target, transform)


FRAMEWORKS = {"lightning": lightning, "accelerate": accelerate, "ignite": ignite}


def time_step(framework: Callable[[Parts], Callable[[], None]], workload: Workload) -> float:
    """Microseconds per step of a framework's training."""
    config = ConfigParser(workload.settings)
    torch.manual_seed(config["seed"])
    model = make_model(workload, config).train()
    samples = make_dataset(workload)
    batches = DataLoader(samples, workload.batch_size, shuffle=workload.batch_size < len(samples))
    n_epochs = max(1, round(config["trainer"]["epochs"] * workload.share_of_epochs))
    parts = Parts(model, config.init_ftn("loss"), make_optimizer(config, model), batches, n_epochs)
    with warnings.catch_warnings(action="ignore"):  # Lightning asks for worker processes
        run = framework(parts)
        start = time.perf_counter()
        run()
        return (time.perf_counter() - start) / (n_epochs * len(batches)) * 1e6


def is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
