"""tools.repeat and tools.compare, as a person starts them: the digits, runs of a second, a small model."""

import csv
import json
import math
from statistics import mean, stdev

import pytest
import torch
from scipy.stats import t, ttest_rel

from data_loader.build import build_loaders
from parse_config import ConfigParser
from tools import compare, repeat
from utils.errors import run_command

pytestmark = pytest.mark.usefixtures("quick_processes")
SMALL = [
    "arch.args.sizes=[64,8,10]",
    "trainer.epochs=2",
    "trainer.tensorboard=false",
    "data_loader.args.batch_size=256",
    'metrics=["accuracy"]',
]
SUMMARY = ["mean", "standard deviation", "95 % from", "95 % to"]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "saved" / "Digits_MLP"


@pytest.fixture
def command(tmp_path, capsys):
    """`command(repeat, *argv, settings=[...])`: what it has printed, to stderr where the exit code is not 0."""

    def run(tool, *argv, settings=(), code=0):
        argv = [str(argument) for argument in argv]
        if tool is repeat:
            argv = ["-c", "config.json", *argv, "-s", *SMALL, f"trainer.save_dir={tmp_path / 'saved'}", *settings]
        capsys.readouterr()
        try:
            found = run_command(tool.main, argv)
        except SystemExit as usage_error:
            found = usage_error.code
        out, err = capsys.readouterr()
        assert found == code, err
        assert code == 0 or (len(err.splitlines()) == 1 or err.startswith("usage:")), err
        return out if code == 0 else err

    return run


def rows(path):
    with (path / "repeat.csv").open() as file:
        return {row["run"]: row for row in csv.DictReader(file)}


def test_seeds_are_runs_that_differ_in_their_seed_alone_and_their_mean_has_an_interval(
    command, folder, train, evaluate, read_metrics
):
    out = command(repeat, "--seeds", 3, "--parallel", 2)
    found = rows(folder / "seeds")
    assert list(found) == ["seed-123", "seed-124", "seed-125", *SUMMARY]
    values = []
    for run in list(found)[:3]:
        best = min(read_metrics(folder / "seeds" / run), key=lambda record: record["val_loss"])
        assert [float(found[run][name]) for name in ("epoch", "val_loss", "val_accuracy")] == [
            best[name] for name in ("epoch", "val_loss", "val_accuracy")
        ]
        values.append(best["val_loss"])
    assert len(set(values)) == 3
    half = t.ppf(0.975, 2) * stdev(values) / math.sqrt(3)
    expected = [mean(values), stdev(values), mean(values) - half, mean(values) + half]
    assert [float(found[row]["val_loss"]) for row in SUMMARY] == pytest.approx(expected, rel=1e-9)
    assert [out.count(row) for row in found] == [2, 2, 2, 1, 1, 1, 1]

    alone = train("config.json", *SMALL, "seed=124")
    assert read_metrics(alone)[-1]["val_loss"] == read_metrics(folder / "seeds" / "seed-124")[-1]["val_loss"]
    assert evaluate(alone) == evaluate(folder / "seeds" / "seed-124")


def test_the_same_command_goes_on_and_more_seeds_are_added(command, folder, read_metrics):
    command(repeat, "--seeds", 2)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*/*")}
    (folder / "seeds" / "seed-124" / "result.json").unlink()  # as if it had been killed
    del before[folder / "seeds" / "seed-124" / "result.json"]
    command(repeat, "--seeds", 3)
    assert list(rows(folder / "seeds"))[:4] == ["seed-123", "seed-124", "seed-125", "mean"]
    done = {path: time for path, time in before.items() if "seed-123" in path.parts}
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert len(read_metrics(folder / "seeds" / "seed-124")) == 2
    assert "was begun with trials = 3, not 2" in command(repeat, "--seeds", 2, code=2)
    assert "was begun with" in command(repeat, "--folds", 3, "--name", "seeds", code=2)
    assert "was begun with config.optimizer.args.lr" in command(
        repeat, "--seeds", 3, settings=["optimizer.args.lr=1"], code=2
    )


def test_each_sample_validates_in_one_fold_and_every_fold_has_the_classes_shares(command, folder):
    command(repeat, "--folds", 3)
    assert list(rows(folder / "folds")) == ["fold-1-of-3", "fold-2-of-3", "fold-3-of-3", *SUMMARY]
    counts = []
    for run in ("fold-1-of-3", "fold-2-of-3", "fold-3-of-3"):
        config = json.loads((folder / "folds" / run / "config.json").read_text())
        loader = build_loaders(ConfigParser(config))[0]
        counts.append(torch.bincount(loader.samples.target[loader.valid_indices], minlength=10))
        assert config["seed"] == 123
    total = torch.bincount(loader.samples.target, minlength=10)
    assert torch.equal(sum(counts), total)
    assert all(((count - total / 3).abs() < 1).all() for count in counts)


def test_a_run_that_fails_is_a_row_and_the_mean_is_that_of_the_others(command, folder, monkeypatch):
    from train import build_trainer

    def fails(config, device):
        if config["seed"] == 123:
            raise RuntimeError("seed 123 is unlucky")
        return build_trainer(config, device)

    monkeypatch.setattr("train.build_trainer", fails)
    command(repeat, "--seeds", 3)
    unlucky, *others = rows(folder / "seeds").values()
    assert unlucky["cause"] == "RuntimeError: seed 123 is unlucky" and not unlucky["val_loss"]
    values = [float(row["val_loss"]) for row in others[:2]]
    assert float(others[2]["val_loss"]) == pytest.approx(mean(values), rel=1e-9)


def test_without_a_monitor_the_last_epoch_counts(command, folder, read_metrics):
    command(repeat, "--seeds", 2, settings=["trainer.monitor=off"])
    last = read_metrics(folder / "seeds" / "seed-123")[-1]
    assert float(rows(folder / "seeds")["seed-123"]["val_loss"]) == last["val_loss"]


@pytest.mark.parametrize(
    ("argv", "settings", "said"),
    [
        ([], [], "one of the arguments --seeds --folds is required"),
        (["--seeds", 3, "--folds", 3], [], "not allowed with"),
        (["--seeds", 1], [], "of one run nothing can be said"),
        (["--folds", 0], [], "of one run nothing can be said"),
        (["--seeds", 0], [], "of one run nothing can be said"),
        (["--folds", 500], [], "2 to 139 folds are possible"),
        (["--seeds", 2, "--parallel", 4096], [], "--parallel 4096: it must be 1 to"),
        (["--folds", 2, "--name", "../up"], [], "--name '../up' is not a folder's name"),
        (
            ["--folds", 2],
            ['valid_data_loader={"type": "DigitsDataLoader", "args": {"batch_size": 2}}'],
            "keep one of them",
        ),
        (["--seeds", 2], ["optimizer.args.lrr=1"], "did you mean 'lr'?"),
        (["--seeds", 2], ["seed=4294967295"], "seed: 4294967296 is not"),
    ],
    ids=str,
)
def test_a_bad_command_is_one_line(command, tmp_path, argv, settings, said):
    assert said in command(repeat, *argv, settings=settings, code=2).splitlines()[-1]
    assert not (tmp_path / "saved").exists()


# ----------------------------------------------------------------------------------------------------------- compare


def test_two_runs_side_by_side_with_the_keys_in_which_they_differ(command, train, read_metrics):
    runs = [train("config.json", *SMALL, f"optimizer.args.lr={lr}", f"lr_scheduler={decay}", run_id=f"lr-{lr}")
            for lr, decay in ((0.001, "null"), (0.01, '{"type": "StepLR", "args": {"step_size": 1}}'))]  # fmt: skip
    header, *lines = command(compare, *runs).strip().splitlines()
    assert header.split() == ["run", "optimizer.args.lr", "lr_scheduler", *header.split()[3:]]
    assert "trainer" not in header and "seed" not in header
    for run, line in zip(runs, lines, strict=True):
        best = min(read_metrics(run), key=lambda record: record["val_loss"])
        assert line.split()[0] == str(run)
        assert line.split()[-2] == f"{best['val_loss']:.4g}" and header.split()[-2] == "val_loss"


def make_group(folder, numbers, config=(), monitor="min val_loss"):
    """A folder as tools.repeat leaves it."""
    config = {"trainer": {"monitor": monitor, "save_dir": str(folder.parent)}, "loss": "mse_loss", **dict(config)}
    for run, value in numbers.items():
        (folder / run).mkdir(parents=True)
        result = {
            "settings": {},
            "state": "done",
            "cause": "",
            "epoch": 1,
            "value": value,
            "metrics": {"val_loss": value},
        }
        (folder / run / "result.json").write_text(json.dumps(result))
    (folder / "repeat.json").write_text(json.dumps({"trials": len(numbers), "folds": None, "config": config}))
    return folder


LOW, HIGH = [1.0, 1.1, 0.9, 1.2], [1.5, 1.55, 1.45, 1.62]


@pytest.mark.parametrize(
    ("first", "second", "is_more"), [(LOW, HIGH, True), (HIGH, LOW, True), (LOW, [1.3, 0.8, 1.0, 1.25], False)]
)
def test_whether_a_difference_of_seeds_is_more_than_chance(command, tmp_path, first, second, is_more):
    names = [f"seed-{i}" for i in range(4)]
    groups = [make_group(tmp_path / name, dict(zip(names, values, strict=True)), {"seed": name}.items())
              for name, values in (("a", first), ("b", second))]  # fmt: skip
    table, text = command(compare, *groups).strip().split("\n\n")
    assert table.splitlines()[0].split() == ["run", "seed", "runs", "val_loss"]
    assert [float(line.split()[-1]) for line in table.splitlines()[1:]] == [
        pytest.approx(mean(values), rel=1e-3) for values in (first, second)
    ]
    test = ttest_rel(first, second)
    assert ("That is more than chance" in text) == is_more == (test.pvalue < 0.05)
    assert f"probability {test.pvalue:.2g}" in text
    higher = groups[mean(second) > mean(first)]
    assert f"val_loss of {higher} is higher by {abs(mean(second) - mean(first)):.4g} on average of 4 pairs" in text


@pytest.mark.parametrize(
    ("second", "options", "said"),
    [
        ({"seed-0": 1.0, "seed-7": 1.2}, {}, "of two seeds or folds in common is needed, there are 1"),
        ({"seed-0": 1.5, "seed-1": 1.6}, {}, "differs by 0.5 in all 2 pairs"),
        ({"seed-0": 1.0, "seed-1": 1.1}, {}, "differs by 0 in all 2 pairs"),
        ({"seed-0": 1.5, "seed-1": 1.7}, {"config": [("loss", "l1_loss")]}, "is that of two different losses"),
        ({"seed-0": 1.5, "seed-1": None}, {}, "there are 1"),
    ],
)
def test_what_cannot_be_said(command, tmp_path, second, options, said):
    first = make_group(tmp_path / "a", {"seed-0": 1.0, "seed-1": 1.1})
    text = command(compare, first, make_group(tmp_path / "b", second, **options)).splitlines()[-1]
    assert text.startswith("Whether the difference is more than chance cannot be said") and said in text


def test_two_repeats_are_compared_by_another_metric(command, folder):
    for name, lr in (("slow", "1e-5"), ("good", "0.02")):
        command(repeat, "--folds", 2, "--name", name, settings=[f"optimizer.args.lr={lr}"])
    out = command(compare, folder / "slow", folder / "good", "--metric", "val_accuracy")
    assert f"val_accuracy of {folder / 'good'} is higher by" in out
    assert "Folds share most of their training data" in out
    assert "val_accuracyy" in command(compare, folder / "slow", folder / "good", "--metric", "val_accuracyy", code=2)


def test_what_is_no_run_is_one_line(command, tmp_path):
    group = make_group(tmp_path / "a", {"seed-0": 1.0, "seed-1": 1.1})
    (tmp_path / "empty").mkdir()
    assert "name two runs or more" in command(compare, group, code=2)
    for path in (tmp_path / "empty", tmp_path / "nowhere", group / "repeat.json"):
        assert "is no folder of a run" in command(compare, group, path, code=2)
    (tmp_path / "empty" / "config.json").write_text('{"trainer": {"monitor": "off"}}')
    assert "has no results yet" in command(compare, group, tmp_path / "empty", code=2)
