"""What only a GPU can show, and, so that these lines are run everywhere, the same on the CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from base import BaseDataLoader, BaseDataset, InMemoryDataset
from data_loader.transforms import Normalize
from model.loss import cross_entropy
from model.metric import accuracy, top_k_acc
from trainer import Trainer
from utils.loop import MetricTracker
from utils.seed import seed_everything

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]
on_every_device = pytest.mark.parametrize("device", DEVICES)


@contextmanager
def forbidden_to_wait(device: str) -> Iterator[None]:
    """Inside the block, what makes the CPU wait for the GPU raises RuntimeError."""
    if device == "cpu":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


class ReadingNothing(TorchDispatchMode):
    """Inside the block, to read a number out of a tensor raises RuntimeError: on a GPU that waits."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if operation is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("a step reads a tensor")
        return operation(*args, **(kwargs or {}))


class NotWaitingTrainer(Trainer):
    """Forbids to wait for the GPU from an epoch's first step until its numbers are read for the log."""

    def train_step(self, batch):
        with ReadingNothing():
            return super().train_step(batch)

    def _train_epoch(self, epoch):
        with forbidden_to_wait(self.device.type):
            return super()._train_epoch(epoch)


class ReadingTracker(MetricTracker):
    """Waits for the GPU where numbers are read, and only there."""

    def compute(self):
        if self.device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
        return super().compute()


class Images(BaseDataset):
    """Read one by one."""

    def __init__(self, memory: InMemoryDataset):
        self.memory = memory

    def __len__(self):
        return len(self.memory)

    def __getitem__(self, index):
        return self.memory[index]


def adam(parameters):
    return torch.optim.Adam(parameters, 1e-3, fused=True)


def momentum(parameters):
    return torch.optim.SGD(parameters, 1e-2, momentum=0.9, fused=True)


def make(
    device: str, kind=Trainer, make_optimizer=adam, read_one_by_one=False, lr_scheduler=None, **options
) -> Trainer:
    generator = torch.Generator().manual_seed(0)
    dataset = InMemoryDataset(
        torch.randint(256, (400, 3, 8, 8), generator=generator, dtype=torch.uint8),
        torch.randint(10, (400,), generator=generator),
        transform=Normalize(0.5, [0.2, 0.3, 0.4]),
    )
    seed_everything(0)
    loader = BaseDataLoader(Images(dataset) if read_one_by_one else dataset, 16)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10)]
    model = nn.Sequential(*layers).to(device)
    optimizer = make_optimizer(model.parameters())
    options = {"epochs": 3, "tensorboard": False} | options
    schedule = lr_scheduler and lr_scheduler(optimizer)
    return kind(model, cross_entropy, [accuracy, top_k_acc], optimizer, loader, None, schedule, **options)


OPTIONS = {
    "defaults": {},
    "bf16": {"amp": "bf16"},
    "fp16": {"amp": "fp16"},
    "accumulate": {"accumulate": 3},
    "clip and ema": {"clip_grad_norm": 1.0, "ema": 0.9},
    "momentum and fp16": {"make_optimizer": momentum, "amp": "fp16"},
    "channels last": {"channels_last": True},
    "schedule and warm-up": {"schedule_per": "step", "warmup_steps": 5,
                             "lr_scheduler": lambda o: torch.optim.lr_scheduler.StepLR(o, 2)},
    "read one by one": {"read_one_by_one": True},
}  # fmt: skip


@on_every_device
@pytest.mark.parametrize("name", OPTIONS)
def test_between_two_log_points_the_cpu_never_waits_for_the_gpu(device, name):
    trainer = make(device, NotWaitingTrainer, epochs=2, **OPTIONS[name])
    trainer.train_metrics = ReadingTracker(trainer.metrics, device)
    trainer.train()
    assert trainer.step == 2 * 25
    assert all(p.isfinite().all() for p in trainer.model.parameters())


@on_every_device
def test_the_peak_of_the_gpus_memory_is_logged_each_epoch(device, tmp_path, read_metrics):
    make(device).train(tmp_path)
    logged = [record.get("peak_gpu_gib") for record in read_metrics(tmp_path)]
    if device == "cpu":
        assert logged == [None] * 3
    else:
        smallest = 400 * 3 * 8 * 8 / 2**30  # the images alone
        assert all(smallest < peak < 2 for peak in logged)


@on_every_device
def test_losses_are_the_same_wherever_the_data_lie(device, tmp_path, read_metrics, monkeypatch):
    logs = []
    for free in (2**40, 0):  # the data fit on the GPU, or do not
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, free))
        folder = tmp_path / str(free)
        make(device).train(folder)
        logs.append([(record["loss"], record["accuracy"]) for record in read_metrics(folder)])
    assert logs[0] == logs[1]


@on_every_device
def test_a_run_resumes_bit_by_bit(device, tmp_path):
    straight, stopped, resumed = make(device), make(device, epochs=1), make(device)
    straight.train()
    stopped.train(tmp_path)
    resumed.resume(torch.load(tmp_path / "checkpoint-last.pth", map_location="cpu", weights_only=True))
    resumed.train()
    for ours, theirs in zip(resumed.model.state_dict().values(), straight.model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
