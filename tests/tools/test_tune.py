"""Searches, as a person starts them, with runs of a second: the digits, few epochs, a small model."""

import csv
import json
import math
import multiprocessing
import os
import re
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import RandomState

from parse_config import ConfigParser
from tests.conftest import fork
from tools.trials import processes
from tools.trials.table import Progress
from tools.trials.trial import Trial, read_result, train_trial, write_result
from tools.tune import __main__ as tune
from tools.tune import space as spaces
from tools.tune.space import Range
from utils.config import read_json
from utils.errors import run_command

pytestmark = pytest.mark.usefixtures("quick_processes")
FORK = multiprocessing.get_context("fork")
LR = "optimizer.args.lr"
SIZES = "arch.args.sizes"
SPACE = {LR: [0.001, 0.01], SIZES: [[64, 8, 10], [64, 4, 10]]}
SMALL = [f"{SIZES}=[64,8,10]", "trainer.epochs=2", "trainer.tensorboard=false", "data_loader.args.batch_size=256",
         'metrics=["accuracy"]']  # fmt: skip


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """They take as long as a search; see below, and the commands of docs/search.md."""
    for draw in ("draw_values", "draw_parallel"):
        monkeypatch.setattr(f"tools.tune.pictures.{draw}", lambda table, space, monitor, path: None)


@pytest.fixture
def arguments(tmp_path):
    """`arguments(space, *options, settings=[...])`: a command line, for a folder of this test."""

    def make(space, *options, settings=()):
        path = tmp_path / "space.json"
        path.write_text(space if isinstance(space, str) else json.dumps(space), encoding="utf-8")
        argv = ["-c", "config.json", "--space", str(path), "--name", "search", *map(str, options)]
        return [*argv, "-s", *SMALL, f"trainer.save_dir={tmp_path / 'saved'}", *settings]

    return make


@pytest.fixture
def folder(tmp_path):
    """Of the search."""
    return tmp_path / "saved" / "Digits_MLP" / "search"


@pytest.fixture
def search(arguments, folder, capsys):
    """`search(space, *options)`: what it has printed."""

    def run(*args, **kwargs):
        capsys.readouterr()
        code = run_command(tune.main, arguments(*args, **kwargs))
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    return run


def rows(folder, *without):
    with (folder / "trials.csv").open() as file:
        return [{key: value for key, value in row.items() if key not in without} for row in csv.DictReader(file)]


def best(run_dir, read_metrics):
    return min(record["val_loss"] for record in read_metrics(run_dir))


def test_a_grid_is_every_combination_and_best_json_trains_to_the_best_value(
    search, folder, read_metrics, train, evaluate
):
    out = search(SPACE, "--search", "grid", "--parallel", 2)
    found = {row["trial"]: row for row in rows(folder)}
    assert list(found) == ["trial-0001", "trial-0002", "trial-0003", "trial-0004"]
    assert {(float(row[LR]), row[SIZES]) for row in found.values()} == {
        (lr, str(sizes)) for lr in SPACE[LR] for sizes in SPACE[SIZES]
    }
    for name, row in found.items():
        assert float(row["value"]) == best(folder / name, read_metrics)
        config = read_json(folder / name / "config.json")
        assert [str(config["optimizer"]["args"]["lr"]), str(config["arch"]["args"]["sizes"])] == [row[LR], row[SIZES]]
        assert config["threads"] == 1
    assert [re.findall(r"\((\d) left\)", out), out.count("Best: val_loss")] == [["3", "2", "1", "0"], 1]

    winner = min(found.values(), key=lambda row: float(row["value"]))
    assert str(folder / winner["trial"]) in out
    again = train(str(folder / "best.json"))
    assert best(again, read_metrics) == float(winner["value"])
    assert evaluate(folder / winner["trial"]) == evaluate(again)


def test_the_best_value_counts_not_the_last(search, folder, read_metrics):
    search({LR: [0.01, 3.0]}, "--search", "grid", settings=["trainer.epochs=4", "trainer.monitor=max val_accuracy"])
    for row in rows(folder):
        accuracies = [record["val_accuracy"] for record in read_metrics(folder / row["trial"])]
        assert float(row["value"]) == max(accuracies)
        assert int(row["epoch"]) == accuracies.index(max(accuracies)) + 1
    assert read_json(folder / "best.json")["optimizer"]["args"]["lr"] == 0.01


def test_the_same_command_goes_on_and_more_trials_are_added(search, folder):
    space = {LR: {"log": [1e-4, 1e-1]}, SIZES: SPACE[SIZES]}
    search(space, "--trials", 2)
    before = rows(folder)
    results = {path: path.stat().st_mtime_ns for path in folder.glob("*/*")}
    assert search(space, "--trials", 2).count(" left)") == 2
    search(space, "--trials", 3)
    assert rows(folder)[:2] == before and len(rows(folder)) == 3
    assert {path: path.stat().st_mtime_ns for path in results} == results


def test_a_failed_trial_is_a_row_with_its_cause(search, arguments, folder, capsys):
    out = search({SIZES: [[64, 8, 10], [64, 8, 4], [63, 8, 10]]}, "--search", "grid")
    good, few_classes, few_inputs = rows(folder)
    assert good["value"] and not good["cause"]
    assert "cross_entropy" in few_classes["cause"] and "[256, 63]" not in few_classes["cause"]
    assert "63" in few_inputs["cause"]
    assert not few_classes["value"] and not few_inputs["value"]
    assert out.count("failed: ") == 2
    assert read_json(folder / "best.json")["arch"]["args"]["sizes"] == [64, 8, 10]

    argv = arguments({SIZES: [[64, 8, 4], [64, 8, 5]]}, "--name", "all")
    assert run_command(tune.main, argv) == 2
    assert "every trial failed, the first for this: loss: cross_entropy cannot compare" in capsys.readouterr().err


def test_a_diverging_trial_is_a_row_too(search, folder):
    search({LR: [0.001, 1e30]}, "--search", "grid")
    good, diverging = rows(folder)
    assert float(good["value"]) > 0
    assert not diverging["value"] and "NaN" in diverging["cause"]


# ------------------------------------------------------------------------------------------- kills, signals, orphans


@pytest.fixture
def start(tmp_path):
    """`start(argv)`: the command, in a process of its own."""
    return lambda argv: fork(partial(run_command, tune.main, argv), tmp_path / "said")


def wait_for(condition, process):
    while not condition():
        assert process.is_alive()
        time.sleep(0.005)


def n_epochs(run_dir):
    path = run_dir / "metrics.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def process_of(run_dir):
    return int(re.findall(r"process (\d+) on", (run_dir / ".lock").read_text())[0])


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


LONG = ["trainer.epochs=5", "trainer.save_every_steps=5"]
STRAIGHT = {SIZES: [[64, 8, 10], [64, 4, 10], [64, 6, 10]]}


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_search_leaves_no_orphan_and_goes_on_to_the_same_table(arguments, folder, search, start):
    search(STRAIGHT, "--search", "grid", "--name", "straight", settings=LONG)
    argv = arguments(STRAIGHT, "--search", "grid", "--parallel", "2", settings=LONG)
    process = start(argv)
    wait_for(lambda: n_epochs(folder / "trial-0001") >= 2, process)
    trained_by = process_of(folder / "trial-0001")
    process.kill()
    process.join()
    while is_alive(trained_by):
        time.sleep(0.01)
    search(STRAIGHT, "--search", "grid", "--parallel", "2", settings=LONG)
    assert rows(folder, "seconds") == rows(folder.parent / "straight", "seconds")
    assert "Going on from" in (folder / "trial-0001" / "train.log").read_text()


def test_ctrl_c_ends_all_trials_each_with_its_checkpoint(arguments, folder, search, start):
    process = start(arguments(STRAIGHT, "--search", "grid", "--parallel", "2", settings=[*LONG, "trainer.epochs=500"]))
    wait_for(lambda: min(n_epochs(folder / f"trial-000{i}") for i in (1, 2)) >= 1, process)
    trials = [process_of(folder / f"trial-000{i}") for i in (1, 2)]
    os.kill(process.pid, signal.SIGINT)
    process.join()
    assert process.exitcode == 130
    for i, pid in enumerate(trials, 1):
        assert (folder / f"trial-000{i}" / "checkpoint-last.pth").exists()
        assert not (folder / f"trial-000{i}" / "result.json").exists()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_trial_that_waits_for_an_answer_is_ended_too(arguments, folder, monkeypatch):
    def interrupted(search, trial, record):
        raise KeyboardInterrupt

    monkeypatch.setattr(processes.ListSearch, "should_stop", interrupted)
    assert run_command(tune.main, arguments(STRAIGHT, "--search", "grid", settings=LONG)) == 130
    assert n_epochs(folder / "trial-0001") == 1
    assert not (folder / "trial-0001" / "result.json").exists()


def test_a_trial_whose_search_was_killed_is_no_failure(tmp_path):
    """However late the process hears of it otherwise: nobody listens."""
    config = ConfigParser(read_json(Path("config.json")), settings=[*SMALL, f"trainer.save_dir={tmp_path}"]).config
    folder = tmp_path / config["name"] / "search"
    folder.mkdir(parents=True)
    pipe, other_end = FORK.Pipe()
    pipe.close()
    given = (Path.cwd(), config, folder, Trial("a", {}), 0, other_end)
    process = FORK.Process(target=train_trial, args=given)
    process.start()
    process.join()
    assert process.exitcode == 143
    assert n_epochs(folder / "a") == 1
    assert not (folder / "a" / "result.json").exists()


def test_a_killed_trial_is_a_row_and_the_search_goes_on(arguments, folder, start):
    process = start(arguments(STRAIGHT, "--search", "grid", settings=LONG))
    wait_for(lambda: n_epochs(folder / "trial-0001") >= 1, process)
    os.kill(process_of(folder / "trial-0001"), signal.SIGKILL)
    process.join()
    assert process.exitcode == 0
    killed, *others = rows(folder)
    assert "its process ended with signal SIGKILL" in killed["cause"] and not killed["value"]
    assert all(row["value"] for row in others)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_trial_that_others_stop_is_no_failure(arguments, folder, start):
    """As a cluster does that ends every process of a job."""
    process = start(arguments(STRAIGHT, "--search", "grid", settings=[*LONG, "trainer.epochs=500"]))
    wait_for(lambda: n_epochs(folder / "trial-0001") >= 1, process)
    os.kill(process_of(folder / "trial-0001"), signal.SIGTERM)
    process.join()
    assert process.exitcode == 143
    assert not (folder / "trial-0001" / "result.json").exists()


def test_a_second_search_in_the_same_folder_is_refused_while_the_first_one_works(arguments, folder, capsys, start):
    argv = arguments(STRAIGHT, "--search", "grid", settings=[*LONG, "trainer.epochs=500"])
    process = start(argv)
    wait_for(lambda: n_epochs(folder / "trial-0001") >= 1, process)
    assert run_command(tune.main, argv) == 2
    assert f"process {process.pid} on" in capsys.readouterr().err
    process.terminate()
    process.join()
    assert process.exitcode == 143


# ------------------------------------------------------------------------------------------------------------ optuna


class Killed(Exception):
    """At a certain instant."""


def run_optuna(folder, n_trials, n_instants=math.inf):
    """Trials of two epochs without the training, and their results; Killed after so many instants.

    As in processes.run_trials: a trial that was interrupted reports its epochs again, one that has ended only its end.
    """
    from tools.tune.optuna_search import OptunaSearch

    config = ConfigParser(read_json(Path("config.json")), settings=["trainer.epochs=2"]).config
    space = {LR: Range(1e-6, 1e-1, log=True), SIZES: STRAIGHT[SIZES], "seed": Range(100, 200, log=False)}
    search = OptunaSearch(space, n_trials, config, folder, Progress(n_trials, "min val_loss"))

    def instant():
        nonlocal n_instants
        n_instants -= 1
        if n_instants < 0:
            raise Killed

    while (trial := search.next()) is not None:
        instant()
        value = math.log10(trial.settings[LR]) ** 2 + STRAIGHT[SIZES].index(trial.settings[SIZES])
        records = [{"epoch": epoch, "val_loss": value / epoch, "seconds": 1.0} for epoch in (1, 2)]
        run_dir = folder / trial.name
        for record in [] if read_result(run_dir) else records:
            is_pruned = search.should_stop(trial, record)
            instant()
            if is_pruned:
                write_result(run_dir, trial, records[: record["epoch"]], "min val_loss", "pruned", "others are better")
                break
        result = write_result(run_dir, trial, records, "min val_loss")  # unless it has one
        instant()
        search.end(trial, result)
        instant()
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("*/result.json"))}


def test_optuna_prunes_and_goes_on_after_kills_to_the_same_trials(tmp_path):
    pytest.importorskip("optuna")
    for name in ("straight", "killed"):
        (tmp_path / name).mkdir()
    straight = run_optuna(tmp_path / "straight", 7)
    assert {result["state"] for result in straight.values()} == {"done", "pruned"}
    assert all(100 <= result["settings"]["seed"] <= 200 for result in straight.values())
    for n_instants in (0, 6, 3, 2):  # a trial has begun; after an epoch; before and after the study is told
        with pytest.raises(Killed):
            run_optuna(tmp_path / "killed", 7, n_instants)
    assert run_optuna(tmp_path / "killed", 7) == straight


def test_trials_are_added_to_a_study_and_that_of_another_search_is_refused(arguments, folder, search, capsys):
    pytest.importorskip("optuna")
    search(SPACE, "--search", "optuna", "--trials", 1)
    results = {path: path.stat().st_mtime_ns for path in folder.glob("trial-0001/*")}
    argv = ["--search", "optuna", "--trials", 2]
    assert search(SPACE, *argv).count(" left)") == 1
    assert [row["trial"] for row in rows(folder) if row["value"]] == ["trial-0001", "trial-0002"]
    assert {path: path.stat().st_mtime_ns for path in results} == results
    (folder.parent / "other").mkdir()
    other = folder.parent / "other" / "optuna.db"
    for content, said in (((folder / "optuna.db").read_bytes(), "the study of another"), (b"text", "no study of")):
        other.write_bytes(content)
        (other.parent / "search.json").write_text((folder / "search.json").read_text().replace("123", "124"))
        assert run_command(tune.main, arguments(SPACE, *argv, "--name", "other", settings=["seed=124"])) == 2
        err = capsys.readouterr().err
        assert f"{other} is {said}" in err and err.count("\n") == 1
        assert other.read_bytes() == content


@pytest.mark.parametrize(("kind", "package"), [("optuna", "optuna"), ("ray", r"ray\[tune\]")])
def test_a_missing_package_is_a_line_that_says_what_to_install(arguments, monkeypatch, capsys, kind, package, tmp_path):
    monkeypatch.setattr(tune.importlib.util, "find_spec", lambda name: None)
    assert run_command(tune.main, arguments(SPACE, "--search", kind)) == 2
    err = capsys.readouterr().err
    assert re.search(rf"pip install '{package}', .*pip install -r requirements-tune.txt", err) and err.count("\n") == 1
    assert not (tmp_path / "saved").exists()


def test_an_address_without_a_ray_cluster_is_one_line(arguments, capsys):
    pytest.importorskip("ray")
    assert run_command(tune.main, arguments(SPACE, "--search", "ray", "--address", "nowhere")) == 2
    err = capsys.readouterr().err
    assert "--address nowhere: Invalid address format" in err and err.count("\n") == 1


# --------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({}, "an empty space"),
        ({"optimizer.args.lrr": [1, 2]}, "optimizer.args.lrr: unknown argument of AdamW, did you mean 'lr'?"),
        ({"optimiser.args.lr": [1, 2]}, "did you mean 'optimizer'?"),
        ({LR: []}, "an empty list: there is nothing to search"),
        ({LR: [0.1]}, "one value only, 0.1: there is nothing to search"),
        ({LR: [0.1, 0.2, 0.1]}, "0.1 stands there more than once"),
        ({LR: {"log": [0, 0.1]}}, "a log range begins above 0, not at 0"),
        ({LR: {"log": [-1, 0.1]}}, "a log range begins above 0, not at -1"),
        ({LR: {"range": [0.1, 0.1]}}, "[0.1, 0.1] is no range: the first number must be the smaller one"),
        ({LR: {"logs": [0.1, 1]}}, 'is not a list, {"range": [0.0, 0.5]} or {"log": [0.0001, 0.1]}'),
        ({LR: {"log": ["a", 1]}}, "is not a list"),
        ({LR: {"log": [0.1, 1, 2]}}, "is not a list"),
        ({LR: 0.1}, "0.1 is not a list"),
        ({LR: [0.1, "high"]}, f'{LR}: "high" is not a number >= 0'),
        ({LR: {"range": [-1.0, 1.0]}}, f"{LR}: -1.0"),
        ({"trainer.monitor": ["min val_loss", "min loss"]}, "trials that differ in it cannot be compared"),
        ({"loss": ["cross_entropy", "nll_loss"]}, "trials that differ in it cannot be compared by their val_loss"),
        ("[1, 2]", "space.json"),
        ('{"a": [1, 2],}', "space.json:1:14: not valid JSON"),
    ],
    ids=str,
)
def test_a_bad_space_is_one_line(arguments, tmp_path, capsys, space, said):
    assert run_command(tune.main, arguments(space)) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
    assert not (tmp_path / "saved").exists()


def test_all_faults_of_a_space_are_told_at_once(arguments, capsys):
    assert run_command(tune.main, arguments({LR: [], SIZES: {"log": [0, 1]}, "name": ["a", "b"]})) == 2
    assert "has 3 faults:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "settings", "said"),
    [
        (["--parallel", 4096], [], "--parallel 4096: it must be 1 to"),
        (["--parallel", 0], [], "--parallel 0: it must be 1 to"),
        (["--trials", 0], [], "--trials 0: at least one"),
        (["--search", "grid", "--trials", 3], [], "a grid is all combinations"),
        (["--address", "auto"], [], "--address is for --search ray"),
        (["--name", "a/b"], [], "--name 'a/b' is not a folder's name"),
        ([], ["trainer.monitor=off"], "trainer.monitor is off"),
        ([], ["trainer.epoch=3"], "did you mean 'epochs'?"),
    ],
    ids=str,
)
def test_a_bad_command_is_one_line(arguments, tmp_path, capsys, options, settings, said):
    try:
        code = run_command(tune.main, arguments(SPACE, *options, settings=settings))
    except SystemExit as usage_error:
        code = usage_error.code
    assert code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "saved").exists()


def test_another_search_in_the_same_folder_is_refused(search, arguments, folder, capsys):
    search({LR: [0.001, 0.002]}, "--search", "grid")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for space, options, settings, said in (
        ({LR: [0.001, 0.003]}, ["--search", "grid"], [], f"was begun with space.{LR} = [0.001, 0.002], not"),
        ({LR: [0.001, 0.002]}, ["--search", "random"], [], 'was begun with search = "grid", not "random"'),
        ({LR: [0.001, 0.002]}, ["--search", "grid"], ["seed=7"], "was begun with config.seed = 123, not 7"),
    ):
        assert run_command(tune.main, arguments(space, *options, settings=settings)) == 2
        assert said in capsys.readouterr().err
    (folder / "search.json").write_text("{")
    assert run_command(tune.main, arguments({LR: [0.001, 0.002]}, "--search", "grid")) == 2
    assert "search.json is damaged" in capsys.readouterr().err
    (folder / "search.json").unlink()
    assert run_command(tune.main, arguments({LR: [0.001, 0.002]}, "--search", "grid")) == 2
    assert "holds something else" in capsys.readouterr().err
    del before[folder / "search.json"]
    assert {path: path.read_bytes() for path in before if path.name != ".lock"} == {
        path: content for path, content in before.items() if path.name != ".lock"
    }


# ------------------------------------------------------------------------------------------------------------- draws


NUMBERS = st.floats(1e-6, 1e6) | st.integers(1, 10**6)


@given(st.lists(NUMBERS, min_size=2, max_size=2, unique=True), st.booleans(), st.integers(0, 2**32 - 1))
def test_what_is_drawn_lies_in_the_range(ends, log, seed):
    low, high = sorted(ends)
    values = Range(low, high, log)
    draws = [values.rvs(RandomState(seed)) for _ in range(3)]
    assert all(low <= draw <= high for draw in draws)
    assert all(isinstance(draw, int) for draw in draws) == values.is_whole


def test_both_ends_of_whole_numbers_are_drawn_and_each_power_of_ten_is_as_likely():
    state = RandomState(0)
    assert {Range(1, 3, log).rvs(state) for log in (True, False) for _ in range(100)} == {1, 2, 3}
    draws = [Range(1e-4, 1.0, True).rvs(state) for _ in range(1000)]
    assert 400 < sum(draw < 1e-2 for draw in draws) < 600  # half of them, give or take six standard deviations


@given(st.integers(1, 12), st.integers(0, 2**32 - 1), st.booleans())
def test_more_random_trials_begin_with_the_same(n, seed, has_range):
    space = {"a": Range(0.1, 1, log=True) if has_range else [0.1, 0.2, 0.3], "b": [1, 2, 3, 4]}
    trials, more = spaces.random(space, n, seed), spaces.random(space, n + 3, seed)
    assert trials == more[:n]
    settings = [json.dumps(trial.settings) for trial in more]
    assert len(settings) == (n + 3 if has_range else min(n + 3, 12)) == len(set(settings))


def test_random_trials_of_lists_are_not_the_first_of_the_grid():
    space = {"a": list(range(10)), "b": list(range(10))}
    assert len({trial.settings["a"] for trial in spaces.random(space, 10, 0)}) > 3


def test_a_grid_of_ranges_or_without_end_is_refused(arguments, capsys, monkeypatch):
    assert run_command(tune.main, arguments({LR: {"log": [0.1, 1]}}, "--search", "grid")) == 2
    assert f"{LR}: a range; give a list of values" in capsys.readouterr().err
    monkeypatch.setattr(spaces, "MAX_GRID", 5)
    assert run_command(tune.main, arguments({LR: [0.1, 0.2], "seed": [1, 2, 3]}, "--search", "grid")) == 2
    assert "6 combinations; use --search random" in capsys.readouterr().err
