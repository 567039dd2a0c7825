"""The benchmark runs and has every row; how long anything takes is not asserted."""

import copy
import json
import runpy
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from multiprocessing import get_context

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmarks import measure, speed
from benchmarks.commands import comparisons, seconds
from benchmarks.frameworks import FRAMEWORKS, is_installed, make_dataset, time_step, torch_loop
from benchmarks.loops import all_samples, batches_by_hand, by_hand, template
from benchmarks.measure import Row, in_own_processes, in_turns
from benchmarks.workloads import MNIST, MNIST_IMAGES, QUADRATIC, RESNET
from tests.conftest import fork
from utils.config import apply_settings

ROWS = {
    "ours": ["mnist-mlp", "california-mlp", "quadratic", "quadratic-best", "lenet", "bookkeeping"],
    "data": [
        "batch-32x784",
        "batch-100x8",
        "batch-1000x1",
        "augmentation",
        "csv-first-batch",
        "images-start",
        "images-epoch",
    ],
    "frameworks": ["mnist-mlp-images", "mnist-mlp", "california-mlp", "quadratic"],
}


@pytest.fixture
def n_updates():
    """Counts the optimizers' steps."""
    steps = []
    handle = register_optimizer_step_post_hook(lambda *step: steps.append(step))
    yield lambda: len(steps)
    handle.remove()


def test_the_command_writes_every_row(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(speed, "in_own_processes", nullcontext)  # eight imports of torch; see the test below
    file = tmp_path / "speed.json"
    speed.main(["--quick", "--rounds", "1", "--tables", *ROWS, "gpu", "--json", str(file)])
    result = json.loads(file.read_text())
    assert result["rounds"] == 1
    assert result["machine"]["torch"] == torch.__version__
    assert result["machine"]["threads"] == 1

    rows = {(row["table"], row["name"]): row["times"] for row in result["rows"]}
    for table, names in ROWS.items():
        assert [name for of_table, name in rows if of_table == table] == names
    for times in rows.values():
        assert len(times) >= 2
        assert all(len(of_rounds) == 1 and min(of_rounds) > 0 for of_rounds in times.values())
    assert [*rows["ours", "quadratic"]] == ["by hand", "template"]

    printed = capsys.readouterr().out
    for _, name in rows:
        assert f"\n{name}, microseconds per " in printed
    for framework in FRAMEWORKS:
        assert is_installed(framework) != (f"{framework} is left out: pip install" in printed)
    assert torch.cuda.is_available() != ("there is no GPU here" in printed)


def test_frameworks_are_measured_in_processes_of_their_own(n_updates, monkeypatch):
    """Forks, where the benchmark asks for new Pythons, which would import torch."""
    monkeypatch.setattr(measure, "get_context", lambda kind: {"spawn": get_context("fork")}[kind])
    with in_own_processes({"torch": partial(time_step, torch_loop, QUADRATIC.quick())}) as contestants:
        assert contestants["torch"]() > 0
    assert n_updates() == 0  # in this process


def run_in_a_fork(log, *arguments):
    """`python -c CODE ...` or `python SCRIPT ...` without an import of torch."""

    def run():
        if arguments[0] == "-c":
            sys.argv = ["-c", *arguments[2:]]
            exec(arguments[1], {})
        else:
            sys.argv = [*arguments]
            runpy.run_path(arguments[0], run_name="__main__")

    process = fork(run, log)
    process.join()
    assert process.exitcode == 0, log.read_text()


def test_whole_commands_are_compared(tmp_path):
    compared = comparisons(str(tmp_path), epochs=1)
    assert {name: [*contestants] for name, contestants in compared.items()} == {
        "short-run": ["by hand", "train.py"],
        "first-step": ["import torch", "a step by hand", "train.py, parabola", "train.py, digits"],
        "help": ["python", "train.py --help"],
    }
    for contestant in compared["help"].values():
        assert contestant() > 0
    for contestant in (*compared["short-run"].values(), compared["first-step"]["train.py, parabola"]):
        assert contestant.func is seconds
        run_in_a_fork(tmp_path / "said", *contestant.args)
    n_epochs = {file.parts[-3]: len(file.read_text().splitlines()) for file in tmp_path.glob("*/*/metrics.jsonl")}
    assert n_epochs == {"Digits_MLP": 1, "Quadratic_Regression": 0}  # the second ends with its first step


def test_a_command_that_fails_is_not_timed():
    with pytest.raises(subprocess.CalledProcessError):
        seconds("train.py", "-c", "no_such.json")


def test_only_what_is_asked_for_is_measured(capsys):
    speed.main(["--quick", "--rounds", "1", "--tables", "ours", "data", "--workloads", "quadratic", "batch-100x8", "x"])
    printed = capsys.readouterr().out.splitlines()
    rows = [line for line in printed if "microseconds" in line]
    assert rows == ["quadratic, microseconds per step", "batch-100x8, microseconds per batch"]
    assert printed[-1] == "These tables have no x"


def test_the_gpus_table_works_wherever_it_runs(monkeypatch):
    settings = copy.deepcopy(RESNET.settings)
    apply_settings(settings, ["data_loader.args.batch_size=2"])
    monkeypatch.setattr(speed, "RESNET", replace(RESNET, settings=settings))
    compared = {name: contestants for name, _, contestants in speed.on_a_gpu(quick=True, device="cpu")}
    assert [*compared] == ["mnist-mlp", "california-mlp", "quadratic", "quadratic-best", "lenet", "resnet18"]
    assert [*compared["resnet18"]] == ["by hand", "template"]
    assert all(run() > 0 for run in compared["resnet18"].values())


@pytest.mark.parametrize("workload", [MNIST, QUADRATIC], ids=lambda workload: workload.name)
def test_all_do_as_many_steps(workload, n_updates):
    quick = workload.quick()
    n_steps = 2 if workload is QUADRATIC else 4  # two epochs of one full batch, or of two batches
    for n_runs, run in enumerate((by_hand, template, lambda workload: time_step(torch_loop, workload)), 1):
        run(quick)
        assert n_updates() == n_runs * n_steps


def test_the_batches_by_hand_hold_every_sample_once():
    x = torch.arange(10)
    batches = list(batches_by_hand(x, -x, 4))
    assert [len(data) for data, _ in batches] == [4, 4, 2]
    assert sorted(torch.cat([data for data, _ in batches]).tolist()) == x.tolist()
    assert all(torch.equal(target, -data) for data, target in batches)
    [(whole, _)] = batches_by_hand(x, -x, 10)
    assert whole is x  # a full batch is not copied


def test_contestants_run_in_turns():
    order = []
    times = in_turns({"a": lambda: order.append("a") or 1.0, "b": lambda: order.append("b") or 2.0}, rounds=3)
    assert order == ["a", "b"] * 4  # the first time is not counted
    assert times == {"a": [1.0] * 3, "b": [2.0] * 3}


def test_a_row_shows_minimum_median_difference_and_ratio():
    first, second = str(Row("ours", "x", "seconds", {"a": [4.0, 2.0, 8.0], "b": [5.0, 3.0, 12.0]})).splitlines()[1:]
    assert first.split() == ["a", "2", "4"]
    assert second.split() == ["b", "3", "5", "+1", "+1", "1.500", "1.250"]


def test_images_become_the_numbers_that_the_template_trains_on():
    workload = MNIST_IMAGES.quick()
    data, target = zip(*make_dataset(workload), strict=True)
    expected = all_samples(workload)
    torch.testing.assert_close(torch.stack(data), expected[0])
    assert list(target) == expected[1].tolist()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_that_is_missing_is_left_out(framework, monkeypatch, capsys):
    monkeypatch.setattr(speed.frameworks, "is_installed", lambda package: package not in FRAMEWORKS)
    for _, _, contestants in speed.against_frameworks(quick=True):
        assert [*contestants] == ["template", "torch DataLoader"]
    assert f"{framework} is left out: pip install -r requirements-bench.txt" in capsys.readouterr().out


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_framework_takes_as_many_steps(framework, n_updates):
    pytest.importorskip(framework)
    time_step(FRAMEWORKS[framework], QUADRATIC.quick())
    assert n_updates() == 2
