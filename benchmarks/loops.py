"""The two contestants: the template's public way, and the loop that everybody writes first."""

import io
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import torch
from torch import Tensor, nn

from base import BaseDataLoader
from benchmarks.workloads import Workload
from logger.logger import setup_logging
from parse_config import ConfigParser
from trainer.build import build_optimizer, build_scheduler
from utils.seed import seed_everything


def template(workload: Workload, device: str = "cpu") -> float:
    """Microseconds per step of `Trainer.train`, with metrics, progress, logs and checkpoints as configured."""
    config = ConfigParser(workload.settings)
    seed_everything(config["seed"])
    data_loader = make_data_loader(workload)
    model = make_model(workload, config).to(device)
    criterion, metrics = config.init_ftn("loss"), config.init_metrics()
    optimizer = build_optimizer(config, model)
    lr_scheduler = build_scheduler(config, optimizer)
    with tempfile.TemporaryDirectory() as folder, _on_a_terminal(Path(folder), config["trainer"]["verbosity"]):
        trainer = config.init_trainer(model, criterion, metrics, optimizer, data_loader, None, lr_scheduler)
        start = time.perf_counter()
        trainer.train(Path(folder))
        synchronize(device)
        seconds = time.perf_counter() - start
    return seconds / trainer.step * 1e6


def by_hand(workload: Workload, device: str = "cpu") -> float:
    """Microseconds per step of a loop over tensors: no metrics, no log, no checkpoint, not even the sum of the loss.

    The data are transformed and on the device beforehand. The optimizer has torch's default settings, but for those
    that the config gives.
    """
    config = ConfigParser(workload.settings)
    torch.manual_seed(config["seed"])
    torch.backends.cudnn.deterministic = False  # torch's default, which the template's seeding changes
    data, target = (part.to(device) for part in all_samples(workload))
    model = make_model(workload, config).to(device).train()
    forward, criterion = model, config.init_ftn("loss")
    optimizer = make_optimizer(config, model)
    if config["trainer"].get("channels_last"):
        model, data = model.to(memory_format=torch.channels_last), data.to(memory_format=torch.channels_last)
    if config["trainer"].get("amp"):
        in_bf16 = torch.autocast(device, torch.bfloat16)
        forward, criterion = in_bf16(forward), in_bf16(criterion)

    n_steps = 0
    synchronize(device)
    start = time.perf_counter()
    for _ in range(config["trainer"]["epochs"]):
        for batch, batch_target in batches_by_hand(data, target, workload.batch_size):
            optimizer.zero_grad()
            loss = criterion(forward(batch), batch_target)
            loss.backward()
            optimizer.step()
            n_steps += 1
    synchronize(device)
    return (time.perf_counter() - start) / n_steps * 1e6


def batches_by_hand(data: Tensor, target: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Two tensors as shuffled batches; as they are if one batch holds them all."""
    if batch_size >= len(data):
        yield data, target
        return
    order = torch.randperm(len(data), device=data.device)
    for start in range(0, len(data), batch_size):
        batch = order[start : start + batch_size]
        yield data[batch], target[batch]


# ---- what the contestants, and the frameworks, build alike


def make_data_loader(workload: Workload) -> BaseDataLoader:
    """The config's data loader, but for its files: around samples that were made in memory."""
    args = workload.settings["data_loader"]["args"]
    return BaseDataLoader(workload.samples(workload.n_samples), args["batch_size"], args["shuffle"])


def all_samples(workload: Workload) -> tuple[Tensor, Tensor]:
    """The samples as two tensors, transformed."""
    dataset = workload.samples(workload.n_samples)
    return dataset.get_batch(torch.arange(len(dataset)))


def make_model(workload: Workload, config: ConfigParser) -> nn.Module:
    """The model on the CPU."""
    return workload.model() if workload.model else config.init_model()


def make_optimizer(config: ConfigParser, model: nn.Module) -> torch.optim.Optimizer:
    """torch's own, with the arguments that the config gives and no others."""
    return config.init_obj("optimizer", model.parameters())


def synchronize(device: str) -> None:
    """Wait until a GPU has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


class Terminal(io.TextIOBase):
    """What the template takes for a terminal, so that it shows the progress bar; nobody sees it."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


@contextmanager
def _on_a_terminal(run_dir: Path, verbosity: int) -> Iterator[None]:
    with redirect_stdout(Terminal()), redirect_stderr(Terminal()):
        setup_logging(verbosity, run_dir / "train.log")
        yield
    setup_logging(verbosity=0)  # closes train.log
