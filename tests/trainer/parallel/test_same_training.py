"""The same training on one process and on several: losses, metrics and weights, to the rounding of float64."""

import random
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from base import BaseDataLoader, BaseDataset, BaseModel, InMemoryDataset
from logger.run_log import read_metrics
from model.metric import accuracy
from model.sklearn_metric import macro_f1
from tools.verify import find_difference
from trainer import Trainer
from trainer.parallel import place_model
from utils.checkpoint import load_checkpoint, open_checkpoint
from utils.parallel import rank, world_size
from utils.seed import seed_everything

N, N_VALID, BATCH = 75, 22, 13  # 53 training samples: of the last batch, 1, three of four processes have none


def samples() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(N, 4, generator=generator, dtype=torch.float64)
    return data, (data @ torch.tensor([1.0, -2.0, 0.5, 0.3]).double() > 0).long()


class OneByOne(BaseDataset):
    def __init__(self):
        self.data, self.target = samples()

    def __len__(self):
        return N

    def __getitem__(self, index):
        noise = torch.rand(4) + random.random() + np.random.rand()
        return self.data[index] + 0.1 * noise, self.target[index]


class Shifted:
    n_draws = 4

    def __call__(self, data, draws):
        return data + draws


class Net(BaseModel):
    """With a layer that no loss depends on."""

    def __init__(self, dropout: float = 0.0):
        super().__init__()
        block = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout))
        self.layers = nn.Sequential(block, nn.Linear(8, 2))
        self.unused = nn.Linear(4, 2)
        self.double()

    def forward(self, x):
        self.unused(x)
        return self.layers(x)


class PlainStep(Trainer):
    """Updates the weights in its own way."""

    def train_step(self, batch):
        self.optimizer.zero_grad()
        loss, output, target = self.compute_loss(batch)
        loss.backward()
        self.optimizer.step()
        return loss, output, target


def last(output: torch.Tensor, target: torch.Tensor) -> float:
    """A metric of the whole epoch that depends on the order of its samples."""
    return (output[:, 0] * torch.arange(len(output))).mean()


vars(last)["per_epoch"] = True


def make_trainer(
    loader=None,
    dataset="memory",
    kind=Trainer,
    plateau=False,
    epochs=2,
    poison=False,
    dropout=0.0,
    fsdp=False,
    **options,
) -> Trainer:
    seed_everything(0)
    datasets = {"memory": lambda: InMemoryDataset(*samples()), "one by one": OneByOne,
                "augmented": lambda: InMemoryDataset(*samples(), augment=Shifted())}  # fmt: skip
    loader = BaseDataLoader(datasets[dataset](), BATCH, validation_split=N_VALID, **loader or {})
    if poison:
        loader.samples.data[loader.sampler.indices[7]] = torch.nan
    parallel = "fsdp" if fsdp and world_size() > 1 else "ddp"
    model = place_model(Net(dropout), torch.device("cpu"), {"parallel": parallel})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5) if plateau else None
    options = {"monitor": "min val_loss", "tensorboard": False, "config": {"a": 1}} | options
    return kind(model, nn.functional.cross_entropy, [accuracy, macro_f1, last], optimizer, loader,
                loader.split_validation(), scheduler, epochs=epochs, **options)  # fmt: skip


CASES = {
    "plain": {},
    "accumulate": {"accumulate": 3},
    "balanced": {"loader": {"balanced": True}},
    "len_epoch": {"loader": {"len_epoch": 6}},
    "drop_last": {"loader": {"drop_last": True}},
    "augmented": {"dataset": "augmented"},
    "one_by_one": {"dataset": "one by one"},
    "workers": {"dataset": "one by one", "loader": {"num_workers": 1}},
    "plateau": {"plateau": True, "epochs": 3},
    "clip_and_ema": {"clip_grad_norm": 0.05, "ema": 0.8},
    "early_stop": {"early_stop": 1, "epochs": 8, "plateau": True},
    "skip": {"on_nan": "skip", "poison": True},
    "fsdp": {"fsdp": True, "sharded_checkpoints": True, "recompute_activations": True, "accumulate": 2,
             "clip_grad_norm": 0.05, "on_nan": "skip", "poison": True},
    "own_step": {"kind": PlainStep},
    "own_step_accumulates": {"kind": type("Twice", (Trainer,), {"train_step": lambda *a: Trainer.train_step(*a)}),
                             "accumulate": 2},
}  # fmt: skip


def train_all(folder: Path, argv=None) -> None:
    for name, options in CASES.items():
        trainer = make_trainer(**options)
        if rank() == 0:
            (folder / name).mkdir(parents=True)
        trainer.train(folder / name)


@pytest.mark.parametrize("n", [3, *(pytest.param(n, marks=pytest.mark.crash) for n in (2, 4))])
def test_it_is_the_same_on_any_number_of_processes(tmp_path, together, n):
    train_all(tmp_path / "alone")
    ended = together(n, partial(train_all, tmp_path / "together"))
    assert ended == ([0] * n, [""] * n)
    for name in CASES:
        alone, shared = tmp_path / "alone" / name, tmp_path / "together" / name
        numbers = [
            [{k: v for k, v in record.items() if k != "seconds"} for record in read_metrics(d)] for d in (alone, shared)
        ]
        assert len(numbers[0]) == len(numbers[1]), name
        for one, other in zip(*numbers, strict=True):
            for key in one:
                rel = 1e-6 if "accuracy" in key else 1e-9  # a mean in float32
                assert one[key] == pytest.approx(other[key], rel=rel, nan_ok=True), (name, key)
        for file in ("checkpoint-last.pth", "model_best.pth"):
            one, other = (load_checkpoint(d / file) for d in (alone, shared))
            assert one["epoch"] == other["epoch"]
            for part in ("model", "ema") if "ema" in one else ("model",):
                torch.testing.assert_close(one[part], other[part], rtol=1e-9, atol=1e-10)
            assert one["optimizer"]["state"].keys() == other["optimizer"]["state"].keys()


# --------------------------------------------------------------------------------------------------------- resume


def go_on(run_dir: Path, argv=None, stop_at: int = 0, **options) -> None:
    """New or resumed; a SIGTERM comes to the last process at a step."""
    trainer = make_trainer(**options)
    if any(run_dir.glob("*.pth")):
        trainer.resume(open_checkpoint(run_dir)[1])

    def on_step():
        if trainer.step == stop_at and rank() == world_size() - 1:
            signal.raise_signal(signal.SIGTERM)

    trainer.train(run_dir, on_step=on_step)


def state(run_dir: Path) -> tuple:
    records = [record | {"seconds": 0} for record in read_metrics(run_dir)]
    checkpoint = load_checkpoint(run_dir / "checkpoint-last.pth")
    return {name: value for name, value in checkpoint.items() if name != "random"}, records


@pytest.mark.parametrize(
    ("n", "fsdp", "sharded", "stops"),
    [(3, False, False, [(2, 3), (5, 5)]), (2, True, False, [(2, 3)]), (2, True, True, [(2, 3)])],
)
def test_a_stopped_run_goes_on_bit_by_bit_on_as_many(tmp_path, together, n, fsdp, sharded, stops):
    options = {"dataset": "augmented", "dropout": 0.3, "accumulate": 2, "fsdp": fsdp, "tensorboard": True,
               "sharded_checkpoints": sharded}  # fmt: skip
    assert together(n, partial(go_on, tmp_path / "straight", **options)).codes == [0] * n
    stopped = tmp_path / "stopped"
    for step, stops_at in stops:  # within an epoch, and in its evaluation
        assert together(n, partial(go_on, stopped, stop_at=step, **options)).codes == [143] * n
        assert load_checkpoint(stopped / "checkpoint-last.pth")["step"] == stops_at
    assert together(n, partial(go_on, stopped, **options)) == ([0] * n, [""] * n)
    assert find_difference(state(stopped), state(tmp_path / "straight")) is None


@pytest.mark.parametrize(("sharded", "others"), [(False, 1), (True, 1), (True, 2)])
def test_a_stopped_run_goes_on_with_other_processes_as_if_they_had_been_there(tmp_path, together, sharded, others):
    go_on(tmp_path / "straight")
    begin = partial(go_on, tmp_path / "run", stop_at=2, fsdp=True, sharded_checkpoints=sharded)
    assert together(3, begin).codes == [143] * 3
    if others == 1:
        go_on(tmp_path / "run")
    else:
        go_on_sharded = partial(go_on, tmp_path / "run", fsdp=True, sharded_checkpoints=True)
        assert together(others, go_on_sharded).codes == [0] * others
    (one, numbers), (other, same_numbers) = state(tmp_path / "straight"), state(tmp_path / "run")
    torch.testing.assert_close(one["model"], other["model"], rtol=1e-9, atol=1e-10)
    for record, same in zip(numbers, same_numbers, strict=True):
        for key in record.keys() - {"last"}:  # whose order of samples is another in the epoch that was interrupted
            assert record[key] == pytest.approx(same[key], rel=1e-6), key
