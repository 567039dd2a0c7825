"""The trainer's options: each does what it says, and none changes what it should not."""

import copy
import logging
import math
import os
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch.nn.utils import spectral_norm

from base import BaseDataLoader, BaseDataset, InMemoryDataset
from data_loader.build import build_test_loader
from parse_config import ConfigParser
from tests.trainer.parallel.test_same_training import PlainStep
from trainer import Trainer
from trainer.build import build_optimizer, set_threads
from utils.checkpoint import load_checkpoint, trained_weights
from utils.config import read_json
from utils.errors import ConfigError, UserError, run_command
from utils.loop import per_epoch

CONFIG = Path("config.json")
N_FEATURES = 3


def error_of(output, target):
    """A metric that a NaN in one batch would spoil."""
    return (output - target).abs().mean()


@per_epoch
def n_seen(output, target):
    assert output.isfinite().all()
    return len(output)


def data(n_samples: int, dtype=torch.float64) -> InMemoryDataset:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n_samples, N_FEATURES, generator=generator).to(dtype)
    return InMemoryDataset(x, x.sum(dim=1, keepdim=True).sin())


def make(kind=Trainer, *, dataset=None, batch_size=10, norm=False, lr=0.1, momentum=0.9, schedule=None, dtype=None,
         valid=None, metrics=(error_of,), **options) -> Trainer:  # fmt: skip
    """A small regression: 25 samples, so batches of 10, 10 and 5; in float64, so that only rounding is forgiven."""
    torch.manual_seed(0)
    dtype = dtype or torch.float64
    dataset = dataset or data(25, dtype)
    layers = [nn.Linear(N_FEATURES, 4), nn.BatchNorm1d(4) if norm else nn.Tanh(), nn.Linear(4, 1)]
    model = nn.Sequential(*layers).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=momentum)
    options = {"tensorboard": False, "epochs": 2} | options
    loader = BaseDataLoader(dataset, batch_size, shuffle=False)
    valid_loader = None if valid is None else BaseDataLoader(valid, 10, training=False)
    lr_scheduler = schedule and schedule(optimizer)
    return kind(model, nn.functional.mse_loss, metrics, optimizer, loader, valid_loader, lr_scheduler, **options)


def trained(*args, **options) -> Trainer:
    trainer = make(*args, **options)
    trainer.train()
    return trainer


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def assert_same_weights(first: Trainer, second: Trainer, rtol: float = 1e-9) -> None:
    torch.testing.assert_close(weights(first), weights(second), rtol=rtol, atol=rtol)


# ------------------------------------------------------------------------------------------------------ accumulate


@pytest.mark.parametrize("n_parts", [2, 3, 4, 7, 10, 100])  # of batches of 10, 10 and 5: none but 5 divides all
def test_weights_and_log_do_not_depend_on_the_number_of_parts(n_parts, tmp_path, read_metrics):
    logs = []
    for name, accumulate in (("whole", 1), ("parts", n_parts)):
        (tmp_path / name).mkdir()
        trainer = make(accumulate=accumulate)
        trainer.train(tmp_path / name)
        logs.append((trainer, read_metrics(tmp_path / name)))
    (whole, whole_log), (parts, parts_log) = logs
    assert_same_weights(whole, parts)
    assert parts.step == whole.step == 6
    for one, other in zip(whole_log, parts_log, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-9)
        assert one["error_of"] == pytest.approx(other["error_of"], rel=1e-9)


def test_a_batch_is_worked_through_in_as_many_nearly_equal_parts_as_asked_for():
    class Noting(Trainer):
        sizes = ()

        def compute_loss(self, batch):
            self.sizes += (len(batch[0]),)
            return super().compute_loss(batch)

    assert trained(Noting, accumulate=4, epochs=1).sizes == (2, 3, 2, 3, 2, 3, 2, 3, 2, 3)


# ------------------------------------------------------------------------------------------ recompute_activations


class Blocks(nn.Module):
    """Two residual blocks with dropout. Notes how many numbers are kept for the backward pass."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(3, 50), nn.Tanh(), nn.Dropout(0.3), *layers, nn.Linear(50, 3)) for _ in range(2)
        )
        self.n_kept = 0

    def forward(self, x):
        def keep(tensor):
            self.n_kept += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            for block in self.blocks:
                x = x + block(x)
        return x.sum(dim=1, keepdim=True)


def test_recomputed_activations_are_not_kept_and_change_nothing():
    trainers = []
    for recompute in (False, True):
        torch.manual_seed(0)
        model = Blocks().double()
        optimizer, loader = torch.optim.SGD(model.parameters(), 0.1), BaseDataLoader(data(25), 10)
        trainers.append(
            Trainer(model, mse_loss, (), optimizer, loader, loader, recompute_activations=recompute, ema=0.9)
        )
        trainers[-1].train()
    assert_same_weights(*trainers, rtol=0)
    kept, recomputed = (trainer.model.n_kept for trainer in trainers)
    assert recomputed < kept / 10


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("n", torch.zeros(()))

    def forward(self, x):
        self.n = self.n + 1
        return x


def recomputing(model: nn.Module) -> Trainer:
    optimizer = torch.optim.SGD(model.double().parameters(), 0.1)
    return Trainer(model, mse_loss, (), optimizer, BaseDataLoader(data(25), 10), recompute_activations=True)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)), "no nn.ModuleList or nn.Sequential of blocks"),
        (Blocks(nn.BatchNorm1d(50)), "a Sequential changes a buffer"),
        (Blocks(spectral_norm(nn.Linear(50, 50))), "a Sequential changes a buffer"),
        (Blocks(Counts()), "a Sequential changes a buffer"),
    ],
)
def test_what_cannot_be_recomputed_is_one_line(model, words):
    with pytest.raises(UserError, match=words):
        recomputing(model).train()


def test_where_nothing_is_recomputed_a_buffer_may_change():
    assert recomputing(Blocks(Counts())).evaluate(BaseDataLoader(data(25), 10))["loss"] > 0


# ------------------------------------------------------------------------------------------------------------- amp


@pytest.mark.parametrize(("amp", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_amp_computes_in_half_precision_and_learns(amp, dtype, tmp_path, read_metrics):
    class Noting(Trainer):
        seen = frozenset()

        def compute_loss(self, batch):
            loss, output, target = super().compute_loss(batch)
            self.seen |= {(loss.dtype, output.dtype, self.model.training)}
            return loss, output, target

    trainer = make(Noting, amp=amp, epochs=20, dtype=torch.float32, valid=data(20, torch.float32))
    trainer.train(tmp_path)
    assert trainer.seen == {(torch.float32, dtype, True), (torch.float32, dtype, False)}
    assert all(p.dtype is torch.float32 for p in trainer.model.parameters())
    losses = [record["loss"] for record in read_metrics(tmp_path)]
    assert losses[-1] < 0.5 * losses[0]
    plain = trained(epochs=20, dtype=torch.float32)
    torch.testing.assert_close(weights(trainer), weights(plain), rtol=0.05, atol=0.05)
    assert bool(load_checkpoint(tmp_path / "checkpoint-last.pth")["scaler"]) == (amp == "fp16")


def test_the_scale_of_fp16_goes_on_after_a_resume(tmp_path):
    trainer = make(amp="fp16", dtype=torch.float32)
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=128.0)
    trainer.train(tmp_path)
    resumed = make(amp="fp16", dtype=torch.float32)
    assert resumed.scaler.get_scale() != 128
    resumed.resume(load_checkpoint(tmp_path / "checkpoint-last.pth"))
    assert resumed.scaler.get_scale() == 128


def test_a_half_precision_output_is_readable_for_a_metric_of_the_whole_epoch():
    from model.sklearn_metric import r2_score

    trainer = make(amp="bf16", dtype=torch.float32)
    trainer.metrics = [r2_score]
    assert math.isfinite(trainer.evaluate(trainer.data_loader)["r2_score"])


# ------------------------------------------------------------------------------------------------------------ clip


@pytest.mark.parametrize(
    "options", [{"clip_grad_norm": 0.5}, {"clip_grad_norm": 0.5, "amp": "fp16"}, {"on_nan": "skip"}]
)
def test_parameters_that_the_optimizer_does_not_train_have_no_say(options):
    def train(freeze):
        trainer = make(dataset=poisoned(1), batch_size=5, norm=True, dtype=torch.float32, **options)
        if options.get("on_nan") != "skip":
            trainer.data_loader.samples.data.nan_to_num_()
        trainer.data_loader.samples.data = trainer.data_loader.samples.data.float()
        trainer.data_loader.samples.target = trainer.data_loader.samples.target.float()
        body, head = trainer.model[0], trainer.model[2]
        body.requires_grad_(not freeze)
        trainer.optimizer.param_groups[0]["params"] = [*head.parameters()]
        trainer.train()
        return trainer

    free, frozen = train(freeze=False), train(freeze=True)
    assert_same_weights(free, frozen, rtol=1e-6)
    if options.get("on_nan") == "skip":
        assert free.n_skipped == frozen.n_skipped == 2  # the poisoned batch, in each epoch


@pytest.mark.parametrize(("clip", "is_clipped"), [(0.01, True), (1e6, False)])
@pytest.mark.parametrize("amp", [None, "fp16"])
def test_the_norm_of_all_gradients_is_at_most_the_one_asked_for(clip, is_clipped, amp):
    norms = {}
    for name, value in (("clipped", clip), ("free", None)):
        trainer = make(clip_grad_norm=value, amp=amp, dtype=torch.float32)

        def note(optimizer, *_, name=name):
            gradients = [p.grad.flatten() for group in optimizer.param_groups for p in group["params"]]
            norms.setdefault(name, torch.cat(gradients).norm().item())  # of the first step

        trainer.optimizer.register_step_pre_hook(note)
        trainer.train()
    assert norms["clipped"] == pytest.approx(clip if is_clipped else norms["free"], rel=1e-3)


@pytest.mark.parametrize("amp", [None, "fp16"])
def test_an_optimizer_that_is_fused_now_goes_on_from_one_that_was_not(amp, tmp_path):
    def trainer(fused, amp, epochs):
        made = make(amp=amp, dtype=torch.float32, epochs=epochs)
        made.optimizer = torch.optim.Adam(made.model.parameters(), 0.01, fused=fused)
        return made

    trainer(None, amp, epochs=2).train(tmp_path)
    results = []
    for fused in (False, True):
        resumed = trainer(fused, "fp16", epochs=4)  # for amp None, half precision begins with the resume
        resumed.resume(load_checkpoint(tmp_path / "checkpoint-last.pth"))
        resumed.train()
        assert resumed.optimizer.param_groups[0]["fused"] is fused
        results.append(weights(resumed))
    torch.testing.assert_close(*results)


# ------------------------------------------------------------------------------------------------------------- ema


def test_ema_is_the_moving_average_it_says_and_is_what_is_evaluated_and_kept(tmp_path):
    decay = 0.8

    class Averaging(Trainer):
        average = None

        def train_step(self, batch):
            result = super().train_step(batch)
            now = weights(self)
            self.average = now if self.average is None else decay * self.average + (1 - decay) * now
            return result

    trainer = make(Averaging, ema=decay, epochs=4, norm=True, valid=data(20))
    trainer.train(tmp_path)
    kept = trained_weights(load_checkpoint(tmp_path / "checkpoint-last.pth"))
    names = [name for name, _ in trainer.model.named_parameters()]
    torch.testing.assert_close(torch.cat([kept[name].flatten() for name in names]), trainer.average)
    assert not torch.allclose(weights(trainer), trainer.average, rtol=1e-3)

    by_hand = copy.deepcopy(trainer.model).eval()
    by_hand.load_state_dict(kept)
    dataset = trainer.valid_data_loader.samples
    expected = nn.functional.mse_loss(by_hand(dataset.data), dataset.target).item()
    assert trainer.evaluate(trainer.valid_data_loader)["loss"] == pytest.approx(expected)
    assert trainer.evaluated_model is not trainer.model and trainer.model.training  # the trained one is back


def test_of_a_models_buffers_the_average_has_the_newest():
    trainer = trained(ema=0.9, norm=True)
    averaged, now = (dict(model.named_buffers()) for model in (trainer.evaluated_model, trainer.model))
    assert now["1.num_batches_tracked"] == 6
    assert all(torch.equal(averaged[name], now[name]) for name in now)


def test_a_trainer_with_a_step_of_its_own_has_the_average_too():
    own, usual = trained(PlainStep, ema=0.9), trained(ema=0.9)
    for one, other in zip(own.evaluated_model.parameters(), usual.evaluated_model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_both_commands_take_the_average(train, evaluate, read_metrics, tmp_path):
    run_dir = train("config.json", "trainer.epochs=2", "trainer.ema=0.9", "trainer.monitor=off", "metrics=[]")
    checkpoint = load_checkpoint(run_dir / "checkpoint-last.pth")
    config = ConfigParser(checkpoint["config"])
    losses = []
    for model in (config.trained_model(checkpoint), config.init_obj("arch")):
        if losses:
            model.load_state_dict(checkpoint["model"])
        losses.append(Trainer(model, config.init_ftn("loss")).evaluate(build_test_loader(config))["loss"])
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)
    assert evaluate(run_dir)["loss"] == pytest.approx(losses[0])

    from tools import export

    export.main(["-r", str(run_dir), "--format", "state_dict", "-o", str(tmp_path / "weights.pt")])
    exported = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert all(torch.equal(exported[name], value) for name, value in trained_weights(checkpoint).items())


# --------------------------------------------------------------------------------------------------- out of memory


def out_of_memory(max_samples: dict[int, int], during: str = "forward") -> type[Trainer]:
    """A trainer for which, from some steps on, only so many samples fit into memory."""

    class Small(Trainer):
        n_failures = 0

        def compute_loss(self, batch):
            limit = max((step, n) for step, n in max_samples.items() if step <= self.step)[1]
            loss, output, target = super().compute_loss(batch)
            if self.model.training and len(batch[0]) > limit:
                self.n_failures += 1
                if during == "forward":
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.")
                self.model[0].weight.register_post_accumulate_grad_hook(self.fail_once())
            return loss, output, target

        def fail_once(self):
            failures = iter([torch.OutOfMemoryError("in the backward pass")])

            def fail(parameter):
                for error in failures:
                    raise error

            return fail

    return Small


@pytest.mark.parametrize("during", ["forward", "backward"])
@pytest.mark.parametrize("max_samples", [{0: 3}, {0: 100, 3: 5}, {0: 6, 4: 1}])
def test_out_of_memory_makes_smaller_parts_and_changes_nothing_else(max_samples, during, caplog, tmp_path):
    def schedule(optimizer):
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6)

    options = {"schedule": schedule, "schedule_per": "step"}
    expected = trained(**options)
    with caplog.at_level(logging.WARNING):
        trainer = make(out_of_memory(max_samples, during), **options)
        trainer.train(tmp_path)
    assert trainer.n_failures > 0
    assert_same_weights(expected, trainer)
    assert trainer.step == expected.step == 6
    assert trainer.lr_scheduler.state_dict() == expected.lr_scheduler.state_dict()
    first = next(step for step, n in max_samples.items() if n < 10)
    assert f"Out of memory in step {first + 1}: from here on, batches are worked through in parts of at " in caplog.text
    assert min(max_samples.values()) / 2 <= trainer.part_size <= min(max_samples.values())

    resumed = make()
    resumed.resume(load_checkpoint(tmp_path / "checkpoint-last.pth") | {"lr_scheduler": None})
    assert resumed.part_size == trainer.part_size


def test_a_small_last_batch_that_fits_is_not_split():
    """Else batch norm would see single samples: 71 samples are batches of 32, 32 and 7, of which 8 fit."""
    trainer = trained(out_of_memory({0: 8}), dataset=data(71), batch_size=32, norm=True)
    assert trainer.part_size == 8
    trained(dataset=data(71), batch_size=32, norm=True, accumulate=4)


@pytest.mark.parametrize("n_rows", [1, 4])
def test_parts_are_counted_in_what_a_batch_has_not_in_what_a_loader_reads(n_rows):
    class Tables(BaseDataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            return torch.full((n_rows, N_FEATURES), index, dtype=torch.float64), torch.ones(
                n_rows, 1, dtype=torch.float64
            )

    def join(items):
        return [torch.cat(parts) for parts in zip(*items, strict=True)]

    trainer = make(accumulate=2)
    trainer.data_loader = BaseDataLoader(Tables(), 100, collate_fn=join)  # more than there are
    trainer.train()
    assert trainer.part_size == 4 * n_rows


def test_a_small_last_batch_that_does_not_fit_halves_the_parts_that_it_had():
    trainer = trained(out_of_memory({0: 100, 2: 4}))  # step 3 is the batch of 5
    assert trainer.part_size == 3


@pytest.mark.parametrize("place", ["optimizer", "metric", "validation", "own step"])
def test_memory_that_runs_out_elsewhere_ends_with_advice(place, tmp_path, capsys):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.")

    class Failing(Trainer):
        def train_step(self, batch):
            return fail() if place == "own step" else super().train_step(batch)

        def evaluate(self, batches):
            return fail()

    trainer = make(
        Failing, metrics=[fail] if place == "metric" else [], valid=data(5) if place == "validation" else None
    )
    if place == "optimizer":
        trainer.optimizer.register_step_pre_hook(fail)
    assert run_command(lambda _: trainer.train(tmp_path)) == 2
    assert "error: out of memory. Try a smaller data_loader.args.batch_size" in capsys.readouterr().err


def test_one_sample_that_does_not_fit_ends_with_advice():
    with pytest.raises(UserError, match=r"out of memory in step 3 even with one sample.*trainer\.amp=bf16"):
        trained(out_of_memory({0: 10, 2: 0}))


# ---------------------------------------------------------------------------------------------------------- on_nan


def poisoned(position: int, bad: float = math.nan) -> InMemoryDataset:
    """Of batches of 5, the one at this position has a bad number; the others are those of `data(20)`."""
    dataset = data(20)
    x, y = dataset.data.clone(), dataset.target.clone()
    x = torch.cat([x[: 5 * position], x[:5], x[5 * position :]])
    x[5 * position + 1, 0] = bad
    y = torch.cat([y[: 5 * position], y[:5], y[5 * position :]])
    return InMemoryDataset(x, y)


@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"amp": "fp16"}, {"clip_grad_norm": 0.1}])
@pytest.mark.parametrize(("position", "bad"), [(0, math.nan), (2, math.inf), (4, -math.inf)])
def test_skipping_a_poisoned_batch_is_as_if_it_had_never_been(position, bad, options, tmp_path, read_metrics):
    options = {"batch_size": 5, "norm": True, "epochs": 2} | options
    (tmp_path / "clean").mkdir()
    clean = make(dataset=data(20), metrics=[error_of, n_seen], **options)
    clean.train(tmp_path / "clean")
    (tmp_path / "run").mkdir()
    trainer = make(dataset=poisoned(position, bad), metrics=[error_of, n_seen], on_nan="skip", **options)
    trainer.train(tmp_path / "run")

    for name, value in clean.model.state_dict().items():
        torch.testing.assert_close(trainer.model.state_dict()[name], value, rtol=1e-9, atol=1e-9)
    first, second = clean.optimizer.state_dict()["state"], trainer.optimizer.state_dict()["state"]
    for key in first:
        torch.testing.assert_close(first[key]["momentum_buffer"], second[key]["momentum_buffer"], rtol=1e-9, atol=1e-9)
    records, expected = read_metrics(tmp_path / "run"), read_metrics(tmp_path / "clean")
    assert [record["skipped_steps"] for record in records] == [1, 2]  # in all, so far
    assert [record["step"] for record in records] == [5, 10]
    for name in ("loss", "error_of", "n_seen"):
        assert [r[name] for r in records] == pytest.approx([r[name] for r in expected], rel=1e-6)


def test_by_default_a_poisoned_batch_ends_the_run_and_no_step_is_counted_as_skipped():
    with pytest.raises(UserError, match=r"the loss is NaN or infinite in epoch 1, from step 3 on"):
        trained(dataset=poisoned(2), batch_size=5)


def test_nothing_but_nan_ends_the_run_even_when_skipping():
    dataset = InMemoryDataset(torch.full((20, N_FEATURES), math.nan, dtype=torch.float64), torch.zeros(20, 1).double())
    with pytest.raises(UserError, match="the loss is NaN or infinite in epoch 1, from step 1 on"):
        trained(dataset=dataset, on_nan="skip")


# --------------------------------------------------------------------------------------------------------- compile


COMPILER = next(filter(None, map(shutil.which, ("g++", "c++", "clang++"))), None)


@pytest.mark.skipif(COMPILER is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_run_is_compiled_from_the_start_and_resumes_bit_by_bit(tmp_path):
    class DoubledIfNotCompiled(nn.Module):
        def forward(self, x):
            return x if torch.compiler.is_compiling() else 2 * x

    def compiled(epochs):
        trainer = make(compile=True, valid=data(10), dataset=data(20), batch_size=5, epochs=epochs)
        trainer.model.append(DoubledIfNotCompiled())
        return trainer

    straight, first, resumed = compiled(2), compiled(1), compiled(2)
    straight.train()
    first.train(tmp_path)
    resumed.resume(load_checkpoint(tmp_path / "checkpoint-last.pth"))
    resumed.train()
    assert torch.equal(weights(straight), weights(resumed))
    assert_same_weights(straight, trained(dataset=data(20), batch_size=5, epochs=2), rtol=1e-6)


# ----------------------------------------------------------------------------------------- schedule per step, warm-up


def rates(*args, **options) -> list[float]:
    """The learning rate of every step."""
    trainer, found = make(*args, momentum=0, **options), []
    before = []

    class Reading(type(trainer)):
        def train_step(self, batch):
            before[:] = [weights(self)]
            result = super().train_step(batch)
            gradient = torch.cat([p.grad.flatten() for p in self.model.parameters()])
            # what the step really was, not what the optimizer says
            found.append(((before[0] - weights(self)).norm() / gradient.norm()).item())
            return result

    trainer.__class__ = Reading
    trainer.train()
    return found


def test_a_schedule_per_step_is_stepped_after_every_step():
    found = rates(schedule=lambda o: torch.optim.lr_scheduler.StepLR(o, 2, gamma=0.5), schedule_per="step")
    assert found == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025, 0.025])


SCHEDULES = {
    "none": None,
    "step": lambda o: torch.optim.lr_scheduler.StepLR(o, 2, gamma=0.5),
    "cosine to a floor": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 8, eta_min=0.05),
    "one that sets the rate": lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 3),
}


@pytest.mark.parametrize("schedule_per", ["epoch", "step"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_step_k_of_the_warm_up_has_k_nth_of_the_schedules_rate(name, schedule_per):
    options = {"schedule": SCHEDULES[name], "schedule_per": schedule_per, "epochs": 3}
    full, warmed = rates(**options), rates(**options, warmup_steps=5)
    factors = [1 / 5, 2 / 5, 3 / 5, 4 / 5, 1, 1, 1, 1, 1]
    assert full[0] == pytest.approx(0.1)
    assert warmed == pytest.approx([factor * rate for factor, rate in zip(factors, full, strict=True)], rel=1e-9)


def test_the_log_and_the_checkpoint_of_a_warm_up(tmp_path, read_metrics):
    make(warmup_steps=4).train(tmp_path)
    assert [record["lr"] for record in read_metrics(tmp_path)] == pytest.approx([0.075, 0.1])
    checkpoint = load_checkpoint(tmp_path / "checkpoint-epoch1.pth")
    assert checkpoint["optimizer"]["param_groups"][0]["lr"] == 0.1


@pytest.mark.parametrize(("schedule_per", "n_needed"), [("step", 6), ("epoch", 2)])
def test_one_cycle_that_ends_too_early_is_refused_before_the_training(schedule_per, n_needed):
    def one_cycle(total_steps):
        return lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=total_steps)

    with pytest.raises(UserError, match=f"one per {schedule_per}, this training needs {n_needed}"):
        make(schedule=one_cycle(n_needed - 1), schedule_per=schedule_per)
    rates(schedule=one_cycle(n_needed), schedule_per=schedule_per)


def test_a_plateau_cannot_be_judged_per_step():
    with pytest.raises(ValueError, match="judges whole epochs"):
        make(schedule=torch.optim.lr_scheduler.ReduceLROnPlateau, schedule_per="step", monitor="min loss")


# --------------------------------------------------------------------------------------------------- fused, config


def optimizer_of(*, amp=None, arch=None, **entry):
    config = read_json(CONFIG)
    config["optimizer"] = entry
    config["trainer"]["amp"] = amp
    parser = ConfigParser(config)
    return build_optimizer(parser, arch or nn.Linear(2, 2))


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_adam_is_fused(name):
    assert optimizer_of(type=name, args={"lr": 0.1}).defaults["fused"] is True
    assert optimizer_of(type=name, args={"lr": 0.1}, amp="fp16").defaults["fused"] is True


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "RMSprop", "args": {"lr": 0.1}},
        {"type": "Adam", "args": {"lr": 0.1, "fused": False}},
        {"type": "Adam", "args": {"lr": 0.1, "foreach": True}},
        {"type": "Adam", "args": {"lr": 0.1, "differentiable": True}},
        {"type": "SGD", "args": {"lr": 0.1, "momentum": 0.9}},  # it fails when a gradient comes late
        {"type": "Adam", "args": {"lr": 0.1}, "arch": nn.Linear(2, 2, dtype=torch.complex64)},
    ],
)
def test_an_optimizer_is_not_fused_where_the_config_or_torch_decides(entry):
    assert not optimizer_of(**entry).defaults.get("fused")


# --------------------------------------------------------------------------------------------------------- threads


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(
    ("model", "batch_size", "n_threads"),
    [
        (nn.Linear(8, 8), 32, 1),
        (nn.Linear(1000, 1000), 64, 2),  # 64 million multiplications
        (nn.Conv2d(3, 32, 3), 64, 2),
        (nn.LSTM(64, 128), 20, 2),
        (nn.Embedding(10, 4), 20, 2),
    ],
)
def test_a_small_network_on_vectors_gets_one_thread(model, batch_size, n_threads):
    set_threads(None, model, batch_size)
    assert torch.get_num_threads() == n_threads


@pytest.mark.usefixtures("two_threads")
def test_threads_that_are_named_are_used_as_far_as_there_are_cores(caplog):
    set_threads(1, nn.Conv2d(3, 32, 3), 64)
    assert torch.get_num_threads() == 1
    set_threads(1000, nn.Linear(1, 1), 1)
    assert torch.get_num_threads() == os.cpu_count()
    assert "this machine has no more CPU cores" in caplog.text


def test_a_number_of_parts_that_is_given_on_resume_wins(tmp_path):
    make(accumulate=5, config={"trainer": {"accumulate": 5}}).train(tmp_path)
    resumed = make(accumulate=2, config={"trainer": {"accumulate": 2}}, epochs=3)
    resumed.resume(load_checkpoint(tmp_path / "checkpoint-last.pth"))
    resumed.train()
    assert resumed.part_size == 5  # half a batch of 10


def test_named_other_batches_are_found_anew(tmp_path):
    make(batch_size=10, accumulate=2, config={"data_loader": {"args": {"batch_size": 10}}}).train(tmp_path)
    resumed = make(batch_size=4, accumulate=2, epochs=3, config={"data_loader": {"args": {"batch_size": 4}}})
    resumed.resume(load_checkpoint(tmp_path / "checkpoint-last.pth"))
    resumed.train()
    assert resumed.part_size == 2


# --------------------------------------------------------------------------------------- channels_last and len_epoch


def test_channels_last_from_a_resume_on_changes_the_layout_and_not_the_result(tmp_path):
    def convolutional(channels_last, epochs):
        torch.manual_seed(0)
        images = torch.randn(12, 2, 8, 8)
        model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 1))
        optimizer = torch.optim.Adam(model.parameters(), 0.01, fused=True)
        loader = BaseDataLoader(InMemoryDataset(images, images.mean(dim=(1, 2, 3)).view(-1, 1)), 4)
        options = {"epochs": epochs, "channels_last": channels_last, "tensorboard": False}
        return Trainer(model, nn.functional.mse_loss, [], optimizer, loader, **options)

    straight = convolutional(channels_last=False, epochs=6)
    straight.train()
    convolutional(channels_last=False, epochs=3).train(tmp_path)
    resumed = convolutional(channels_last=True, epochs=6)
    resumed.resume(load_checkpoint(tmp_path / "checkpoint-last.pth"))
    resumed.train()
    assert_same_weights(straight, resumed, rtol=1e-5)


def test_channels_last_changes_the_layout_and_not_the_result():
    def train(channels_last):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 1)).double()
        images = torch.randn(12, 2, 8, 8, dtype=torch.float64)
        loader = BaseDataLoader(InMemoryDataset(images, images.mean(dim=(1, 2, 3)).view(-1, 1)), 4)
        optimizer, seen = torch.optim.SGD(model.parameters(), 0.1), []
        model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].stride()[1] == 1))
        trainer = Trainer(model, nn.functional.mse_loss, [], optimizer, loader, loader, channels_last=channels_last)
        trainer.train()
        assert seen == [channels_last] * 6
        assert (model[0].weight.stride()[1] == 1) == channels_last
        return trainer

    assert_same_weights(train(False), train(True))


def test_len_epoch_is_exactly_so_many_steps(train, read_metrics):
    run_dir = train("config.json", "trainer.epochs=2", "data_loader.args.len_epoch=7", "trainer.tensorboard=false")
    assert [record["step"] for record in read_metrics(run_dir)] == [7, 14]


# ---------------------------------------------------------------------------------------------- trainers of one's own


def config_with(**trainer):
    config = read_json(CONFIG)
    config["trainer"] |= trainer
    return config


def test_an_option_that_a_trainer_does_not_take_is_refused():
    settings = {"type": "ManualGradientTrainer", "amp": "bf16", "on_nan": "skip", "ema": 0.9}
    with pytest.raises(ConfigError) as error:
        ConfigParser(config_with(**settings))
    for key in ("trainer.amp", "trainer.on_nan"):
        assert f"{key}: unknown option of ManualGradientTrainer" in str(error.value)
    assert "trainer.ema" not in str(error.value)
    assert "amp" not in ConfigParser(config_with(type="ManualGradientTrainer", ema=0.9))["trainer"]


OWN_TRAINER = '''
from base import BaseTrainer


class CountingTrainer(BaseTrainer):
    """Derives from BaseTrainer, which knows neither amp nor threads."""

    def __init__(self, model, criterion, metrics=(), optimizer=None, data_loader=None, valid_data_loader=None,
                 lr_scheduler=None, **options):
        super().__init__(model, optimizer, lr_scheduler, **options)
        self.data_loader = data_loader

    def _train_epoch(self, epoch):
        for _ in range(3):
            self.optimizer.step()
            self.end_step()
        return {"loss": 1.0}
'''


def test_a_trainer_of_ones_own_from_the_base_is_handed_only_what_it_knows(tmp_path, monkeypatch):
    from utils.config import catalog

    (tmp_path / "counting").mkdir()
    (tmp_path / "counting" / "trainer.py").write_text(OWN_TRAINER)
    monkeypatch.syspath_prepend(tmp_path)
    catalog.definitions("trainer")["CountingTrainer"] = catalog.definitions("counting")["CountingTrainer"]
    try:
        with pytest.raises(ConfigError, match=r"trainer\.amp: unknown option of CountingTrainer"):
            ConfigParser(config_with(type="CountingTrainer", amp="bf16"))
        parser = ConfigParser(config_with(type="CountingTrainer", epochs=2, monitor="min loss", warmup_steps=3))
        model = nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        trainer = parser.init_trainer(model, None, [], optimizer, None, None, None)
        trainer.train()
        assert (trainer.epoch, trainer.step, trainer.schedule.warmup_steps) == (2, 6, 3)
    finally:
        catalog.definitions.cache_clear()
