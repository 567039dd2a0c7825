"""A copy made by new_project.py is a project: it trains, is tested, and passes its own tests."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import new_project
from utils.config import catalog, checked, read_json

PROJECT = Path(__file__).resolve().parent.parent


def run(*command: str, cwd: Path = PROJECT) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True, timeout=170)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_default_copy_trains_is_tested_and_passes_its_tests(tmp_path):
    target = tmp_path / "mine"
    made = run("new_project.py", str(target))
    assert made.returncode == 0, made.stderr
    assert {path for path in files(target) if path.startswith(("data_loader", "model", "trainer"))} == {
        "data_loader/__init__.py", "data_loader/digits.py", "data_loader/report.py", "data_loader/subset.py",
        "data_loader/transforms.py",
        "model/__init__.py", "model/activation.py", "model/loss.py", "model/metric.py", "model/mlp.py",
        "trainer/__init__.py", "trainer/report.py", "trainer/trainer.py",
    }  # fmt: skip
    assert "# mine" in (target / "README.md").read_text()

    trained = run("train.py", "-c", "config.json", "--run-id", "a", "-s", "trainer.epochs=2", cwd=target)
    assert trained.returncode == 0, trained.stderr
    tested = run("test.py", "-r", "saved/Digits_MLP/a", cwd=target)
    assert tested.returncode == 0, tested.stderr
    assert json.loads((target / "saved/Digits_MLP/a/test_metrics.json").read_text())["n_samples"] == 360
    tools = Path(sys.executable).parent
    for tool in ("ruff check", "ruff format --check", f"basedpyright -p . --pythonpath {sys.executable}"):
        assert tool.split(" --pythonpath")[0] in (target / "Makefile").read_text()
        checked = subprocess.run(
            [tools / tool.split()[0], *tool.split()[1:]], cwd=target, capture_output=True, text=True
        )
        assert checked.returncode == 0, checked.stdout
    # of its tests those that meet the example; base, utils and so on are the very files that are tested here anyway
    own = ["tests/data_loader", "tests/model", "tests/test_structure.py", "tests/test_bad_input.py"]
    passed = run("-m", "pytest", "-q", "-x", *own, cwd=target)
    assert passed.returncode == 0, passed.stdout


@pytest.mark.parametrize("example", sorted((PROJECT / "configs").glob("*.json")), ids=lambda path: path.stem)
def test_every_example_can_be_copied(tmp_path, example):
    target = tmp_path / "mine"
    made = run("new_project.py", str(target), "--example", str(example))
    assert made.returncode == 0, made.stderr
    config = json.loads((target / "config.json").read_text())
    assert config == json.loads(example.read_text()) == json.loads((target / "configs" / example.name).read_text())
    code = (
        "from parse_config import *; c = ConfigParser(read_json(Path('config.json')))\n"
        "for key in ('arch', 'data_loader', 'trainer'): definitions(OBJECTS[key].package)[c[key]['type']].load()\n"
    )
    loaded = run("-c", code, cwd=target)
    assert loaded.returncode == 0, loaded.stderr


def test_an_existing_folder_is_never_touched(refused, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert "exists and is not empty" in refused("new_project", tmp_path)
    assert files(tmp_path) == {"notes.txt"}
    assert "exists and is not empty" in refused("new_project", tmp_path / "notes.txt")


def test_an_empty_folder_is_filled(tmp_path):
    assert run("new_project.py", str(tmp_path)).returncode == 0
    assert (tmp_path / "train.py").is_file()


def test_wrong_requests_make_nothing(refused, tmp_path):
    target = tmp_path / "new"
    assert "no such file, did you mean 'config.json'?" in refused("new_project", target, "--example", "confg.json")
    (tmp_path / "c.json").write_text('{"name": "x"}')
    assert "arch: missing" in refused("new_project", target, "--example", tmp_path / "c.json")
    assert "lies inside the template" in refused("new_project", PROJECT / "inside")
    assert not target.exists() and not (PROJECT / "inside").exists()


def test_a_model_in_a_folder_of_its_own_is_copied_with_what_it_imports(tmp_path, monkeypatch):
    for room in ("base", "data_loader", "model", "trainer"):
        shutil.copytree(PROJECT / room, tmp_path / room)
    sources = {
        "model/vision/net.py": "from base import BaseModel\nfrom .block import Block\nclass Net(BaseModel): ...\n",
        "model/vision/block.py": "class Block: ...\n",
        "tests/model/vision/test_net.py": "",
    }
    for path, source in sources.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(source)
    monkeypatch.setattr(catalog, "PROJECT", tmp_path)
    monkeypatch.setattr(new_project, "PROJECT", tmp_path)
    catalog.definitions.cache_clear()
    try:
        config = checked(read_json(PROJECT / "config.json") | {"arch": {"type": "Net"}}, "config.json")
        found = {path.relative_to(tmp_path).as_posix() for path in new_project.needed_by(config)}
    finally:
        catalog.definitions.cache_clear()
    assert found >= sources.keys() and "model/mlp.py" not in found
