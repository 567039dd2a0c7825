"""A copy made by new_project.py is a project: it trains, is tested, passes its own tests, and can be updated."""

import ast
import functools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import new_project
from tests.docs.pages import run_in_its_own_process
from tools.new_project import files as template
from utils.config import catalog, checked, read_json
from utils.errors import run_command

PROJECT = Path(__file__).resolve().parent.parent
ROOMS = ("data_loader", "model", "trainer")


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def lint(project: Path, tool: str, *options: str) -> None:
    """Run a tool that the project's `make lint` runs."""
    assert f".venv/bin/{tool}" in (project / "Makefile").read_text()
    program, *arguments = tool.split()
    command = [Path(sys.executable).parent / program, *arguments, *options]
    checked = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


imports_from_rooms = functools.cache(template.imports_from_rooms)


@pytest.fixture(autouse=True)
def imports_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "imports_from_rooms", imports_from_rooms)


def copy(target: Path, *options: str) -> Path:
    assert run_command(new_project.main, [str(target), *options]) == 0
    return target


# What owners do, none of which the template would do: by path, what a file of theirs holds.
OWN = {
    "scratch.py": "import pickle\nimport pandas as pd\nfrom model import mlp\nx = eval('1')\n",
    "model/metric.py": "class mine:\n    per_epoch = True\n"
    "    def __init__(self, factor):\n        self.factor = factor\n"
    "    def __call__(self, output, target):\n"
    "        return self.factor * (output.argmax(1) == target).float().mean()\n",
    "model/loss.py": "from torch import nn\n"
    "class MyLoss(nn.Module):\n"
    "    def __init__(self, weight=1.0):\n"
    "        super().__init__()\n        self.loss, self.weight = nn.CrossEntropyLoss(), weight\n"
    "    def forward(self, output, target):\n        return self.weight * self.loss(output, target)\n",
    "model/vision/__init__.py": "",
    "model/vision/block.py": "import pickle\nimport torchvision\n",
    "model/vision/net.py": "from torch import nn\nfrom base import BaseModel\nfrom . import block\n"
    "class Net(BaseModel):\n"
    "    def __init__(self):\n        super().__init__()\n        self.layer = nn.Linear(4, 3)\n"
    "    def forward(self, x):\n        return self.layer(x)\n",
    "data_loader/iris.py": "from sklearn.datasets import load_iris\nimport torch\n"
    "from base import BaseDataLoader, InMemoryDataset\n"
    "class IrisDataLoader(BaseDataLoader):\n"
    "    def __init__(self, batch_size, training=True, **options):\n"
    "        x, y = load_iris(return_X_y=True)\n"
    "        part = slice(0, None, 2) if training else slice(1, None, 2)\n"
    "        data = InMemoryDataset(torch.tensor(x[part]).float(), torch.tensor(y[part]))\n"
    "        super().__init__(data, batch_size, training=training, **options)\n",
}
OWN_CONFIG = {
    "name": "Iris",
    "arch": {"type": "Net"},
    "data_loader": {"type": "IrisDataLoader", "args": {"batch_size": 16, "validation_split": 0.2}},
    "optimizer": {"type": "Adam", "args": {"lr": 0.01}},
    "loss": {"type": "MyLoss", "args": {"weight": 2.0}},
    "metrics": [{"type": "mine", "args": {"factor": 2}}, "balanced_accuracy"],
    "trainer": {"epochs": 3, "monitor": "min val_loss"},
}


def test_a_copy_trains_is_tested_and_passes_its_tests_whatever_its_owner_adds(tmp_path):
    target = copy(tmp_path / "mine")
    assert {path for path in files(target) if path.startswith(ROOMS)} == {
        "data_loader/__init__.py", "data_loader/build.py", "data_loader/digits.py", "data_loader/fingerprint.py",
        "data_loader/report.py", "data_loader/sizes.py", "data_loader/subset.py", "data_loader/transforms.py",
        "model/__init__.py", "model/activation.py", "model/loss.py", "model/metric.py", "model/mlp.py",
        "model/sklearn_metric.py",
        "trainer/__init__.py", "trainer/build.py", "trainer/check.py", "trainer/faults.py",
        "trainer/parallel/__init__.py", "trainer/parallel/data_parallel.py", "trainer/parallel/fully_sharded.py",
        "trainer/parallel/launch.py", "trainer/parallel/sharded.py", "trainer/report.py", "trainer/several.py",
            "trainer/trainer.py",
    }  # fmt: skip
    assert "# mine" in (target / "README.md").read_text()
    for tool in ("ruff check", "ruff format --check"):
        lint(target, tool)

    for path, source in OWN.items():
        (target / path).parent.mkdir(exist_ok=True)
        (target / path).write_text(source)
    for path in ("config.json", "configs/iris.json"):
        (target / path).parent.mkdir(exist_ok=True)
        (target / path).write_text(json.dumps(OWN_CONFIG))
    # of its tests those that meet what the owner changed; base, utils and so on are the very files that are tested here
    own = "tests/data_loader tests/model tests/test_safety.py tests/test_bad_input.py"
    commands = ("train.py -c config.json --run-id a", "test.py -r saved/Iris/a", f"-m pytest -q -x {own}")
    run_in_its_own_process(target, [f"python {command}" for command in commands], tmp_path / "said")
    assert json.loads((target / "saved/Iris/a/test_metrics.json").read_text())["n_samples"] == 75
    metrics = json.loads((target / "saved/Iris/a/test_metrics.json").read_text())
    assert metrics["mine"] == pytest.approx(2 * metrics["balanced_accuracy"])  # there are 25 of each class


@pytest.mark.crash  # minutes; `make test` checks the very files in the template
@pytest.mark.parametrize("example", ["config.json", "configs/csv_regression.json", "configs/digits_gan.json"])
def test_a_copy_passes_the_type_checker_and_all_its_tests(tmp_path, example):
    target = copy(tmp_path / "mine", "--example", example)
    lint(target, "basedpyright -p .", "--pythonpath", sys.executable)
    tests = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider"]
    done = subprocess.run(tests, cwd=target, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_tests_of_an_example_that_is_gone_are_skipped(tmp_path):
    target = copy(tmp_path / "mine")
    (target / "model/mlp.py").unlink()
    command = "python -m pytest -q -p no:cacheprovider tests/test_commands.py"
    printed = run_in_its_own_process(target, [command], tmp_path / "said")
    assert " skipped" in printed and "passed" not in printed, printed


@functools.cache  # most files are the same in every copy
def modules_imported_from(source: str) -> set[str]:
    return {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom) and node.module}


def assert_imports_are_there(project: Path) -> None:
    for path in files(project):
        if path.endswith(".py"):
            for name in modules_imported_from((project / path).read_text()):
                if name.startswith(tuple(f"{room}." for room in (*ROOMS, "tools"))):
                    module = project / name.replace(".", "/")
                    assert module.with_suffix(".py").is_file() or module.is_dir(), f"{path} imports {name}"


@functools.cache
def texts_in(source: str) -> set[str]:
    return {n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def assert_its_tests_name_nothing_that_stayed_at_home(project: Path) -> None:
    """No class and no config of another example: such a test would fail there."""
    places = [found.path.relative_to(PROJECT) for room in ROOMS for found in catalog.definitions(room).values()]
    names = [name for room in ROOMS for name in catalog.definitions(room)]
    at_home = {name for name, place in zip(names, places, strict=True) if not (project / place).is_file()}
    at_home |= {f"configs/{path.name}" for path in (PROJECT / "configs").iterdir()} - files(project)
    for path in (project / "tests").rglob("*.py"):
        assert texts_in(path.read_text()) & at_home == set(), path
        assert not re.search(r"""(train|run)\(\s*"config.json\"""", path.read_text()), path  # it is its owner's


@pytest.mark.parametrize("example", sorted((PROJECT / "configs").glob("*.json")), ids=lambda path: path.stem)
def test_every_example_is_copied_with_all_that_it_imports_and_names(tmp_path, example):
    target = copy(tmp_path / "mine", "--example", str(example))
    copies = {"config.json": example, f"configs/{example.name}": example, template.TESTED_EXAMPLE: example}
    if example.stem == "digits_gan":  # the tests of the core are of one model
        copies[template.TESTED_EXAMPLE] = PROJECT / "config.json"
    for path, source in copies.items():
        copied = json.loads((target / path).read_text())
        schema = (target / path).parent / copied.pop("$schema")
        assert schema.resolve() == target / "config.schema.json" or source != example
        assert copied == {key: value for key, value in json.loads(source.read_text()).items() if key != "$schema"}
    assert_imports_are_there(target)
    assert_its_tests_name_nothing_that_stayed_at_home(target)
    pages = [path for path in files(target) if path.startswith("docs/examples/")]
    assert all(f"configs/{example.name}" in (target / page).read_text() for page in pages)
    assert pages or "csv" not in example.name


TOOLS = {
    "search": {"tune", "trials", "repeat.py", "compare.py"},
    "report": {"report", "data", "page", "trials", "compare.py"},
}


@pytest.mark.parametrize("extras", [[], ["search"], ["report"]], ids=str)
def test_a_copy_has_the_tools_that_were_asked_for_and_what_they_import(tmp_path, extras):
    """At once or by an update, and they stay."""
    options = [word for name in extras for word in ("--with", name)]
    target, later = copy(tmp_path / "mine", *options), copy(tmp_path / "later")
    for argv in (options, []):
        assert run_command(new_project.main, ["--update", str(later), *argv]) == 0
        assert files(later) == files(target)
    asked = set().union(*(TOOLS[name] for name in extras))
    assert {path.name for path in (target / "tools").iterdir()} & set().union(*TOOLS.values()) == asked
    assert (target / "docs/search.md").is_file() == ("search" in extras)
    assert_imports_are_there(target)


def test_a_copy_of_before_had_all_tools_and_keeps_them(tmp_path):
    target = copy(tmp_path / "mine", "--with", "search", "--with", "report")
    record = json.loads((target / ".template.json").read_text())
    del record["extras"]
    (target / ".template.json").write_text(json.dumps(record))
    (target / "tools/tune/space.py").unlink()  # by its owner
    before = files(target)
    assert run_command(new_project.main, ["--update", str(target)]) == 0
    assert files(target) == before


@pytest.mark.parametrize("options", [[], ["--with", "search", "--with", "report"]], ids=["core", "all"])
def test_the_links_of_the_pages_lead_to_files_that_are_there(tmp_path, options):
    target = copy(tmp_path / "mine", *options)
    pages = list((target / "docs").rglob("*.md"))
    assert pages
    for page in pages:
        for _, link in template.LINK.findall(page.read_text()):
            assert link.startswith(("http", "#")) or (page.parent / link.partition("#")[0]).exists(), (page, link)


def test_an_existing_folder_is_never_touched(refused, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert "exists and is not empty" in refused("new_project", tmp_path)
    assert files(tmp_path) == {"notes.txt"}
    assert "exists and is not empty" in refused("new_project", tmp_path / "notes.txt")


def test_an_empty_folder_is_filled(tmp_path):
    assert (copy(tmp_path) / "train.py").is_file()


def test_wrong_requests_make_nothing(refused, tmp_path):
    target = tmp_path / "new"
    assert "no such file, did you mean 'config.json'?" in refused("new_project", target, "--example", "confg.json")
    (tmp_path / "c.json").write_text('{"name": "x"}')
    assert "arch: missing" in refused("new_project", target, "--example", tmp_path / "c.json")
    assert "invalid choice: 'serch'" in refused("new_project", target, "--with", "serch")
    assert "lies inside the template" in refused("new_project", PROJECT / "inside")
    assert not target.exists() and not (PROJECT / "inside").exists()


def test_a_copy_that_fails_half_way_leaves_nothing(refused, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tools.new_project.update.write_json", full)
    assert "cannot be written: No space left" in refused("new_project", tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


# ------------------------------------------------------------------------------------------------------ the update


@pytest.fixture
def small_template(tmp_path, monkeypatch) -> Path:
    """A template of a few files, which a test may change."""
    root = tmp_path / "template"
    sources = {
        "base/a.py": "a = 1\n",
        "utils/b.py": "b = 1\n",
        "train.py": "",
        "data_loader/set.py": "",
        "config.json": "{}",
    }
    for path, source in sources.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(source)
    for module in ("tools.new_project.files", "tools.new_project.update", "new_project"):
        monkeypatch.setattr(f"{module}.PROJECT", root)
    monkeypatch.setattr("new_project.checked", lambda config, where: {"name": "x", "arch": {"type": "x"}})
    monkeypatch.setattr("new_project.example_files", lambda config: {root / "data_loader/set.py"})
    return root


def update(target: Path, capsys) -> dict[str, set[str]]:
    """What an update says: the paths by the first word of their line."""
    capsys.readouterr()
    assert run_command(new_project.main, ["--update", str(target)]) == 0
    lines = [line.partition(": ") for line in capsys.readouterr().out.splitlines()[1:]]
    return {what.partition(" (")[0]: set(paths.split(", ")) for what, _, paths in lines}


def test_an_update_brings_what_is_untouched_and_nothing_else(small_template, tmp_path, capsys):
    target = copy(tmp_path / "mine", "--example", str(small_template / "config.json"))
    assert update(target, capsys) == {}

    (target / "utils/b.py").write_text("b = 'mine'\n")  # changed by both
    (target / "train.py").write_text("# mine\n")  # changed by its owner
    (target / "data_loader/set.py").unlink()
    (target / "model").mkdir()
    (target / "model/own.py").write_text("own")
    (target / "config.json").write_text("mine")
    for path in ("base/a.py", "utils/b.py", "base/new.py", "data_loader/set.py", "config.json"):
        (small_template / path).write_text("2\n")
    assert update(target, capsys) == {
        "brought to this version": {"base/a.py", "tests/example.json"},
        "new": {"base/new.py"},
        "changed by you, and left alone": {"train.py"},
        f"changed by you, and by the template; left alone, compare with {small_template}": {"utils/b.py"},
        "deleted by you, and left out": {"data_loader/set.py"},
    }
    texts = {path: (target / path).read_text() for path in files(target)}
    assert texts["base/a.py"] == texts["base/new.py"] == "2\n"
    assert texts["utils/b.py"] == "b = 'mine'\n" and texts["train.py"] == "# mine\n"
    assert texts["model/own.py"] == "own" and texts["config.json"] == "mine"
    assert "data_loader/set.py" not in texts

    (small_template / "base/a.py").unlink()
    (target / "utils/b.py").write_text("2\n")  # the owner took the template's
    assert update(target, capsys) == {
        "changed by you, and left alone": {"train.py"},
        "deleted by you, and left out": {"data_loader/set.py"},
        "no longer in the template, and kept": {"base/a.py"},
    }
    (small_template / "utils/b.py").write_text("3\r\n")
    assert update(target, capsys)["brought to this version"] == {"utils/b.py"}


def test_a_new_file_of_the_template_never_replaces_the_owners(small_template, tmp_path, capsys):
    target = copy(tmp_path / "mine", "--example", str(small_template / "config.json"))
    for root, text in ((target, "mine"), (small_template, "theirs")):
        (root / "utils/c.py").write_text(text)
    [(what, paths)] = update(target, capsys).items()
    assert "left alone" in what and paths == {"utils/c.py"}
    assert (target / "utils/c.py").read_text() == "mine"


def test_an_update_that_fails_half_way_is_gone_on_with(small_template, tmp_path, capsys, refused, monkeypatch):
    target = copy(tmp_path / "mine", "--example", str(small_template / "config.json"))
    for path in ("base/a.py", "utils/b.py"):
        (small_template / path).write_text("2\n")
    real = template.file_for_copy

    def failing(path, copied):
        if path.name == "b.py":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, copied)

    monkeypatch.setattr("tools.new_project.update.file_for_copy", failing)
    assert "Permission denied" in refused("new_project", "--update", target)
    monkeypatch.setattr("tools.new_project.update.file_for_copy", real)
    assert update(target, capsys) == {"brought to this version": {"utils/b.py"}}
    assert (target / "base/a.py").read_text() == (target / "utils/b.py").read_text() == "2\n"
    assert update(target, capsys) == {}


def test_only_a_copy_whose_changes_are_committed_is_updated(small_template, tmp_path, capsys, refused):
    assert "new_project.py of this template did not make it" in refused("new_project", "--update", tmp_path)
    target = copy(tmp_path / "mine", "--example", str(small_template / "config.json"))
    git = ["git", "-C", str(target), "-c", "user.name=x", "-c", "user.email=x@localhost"]
    subprocess.run([*git, "init", "-q"], check=True)
    (small_template / "base/a.py").write_text("2\n")
    assert "not committed" in refused("new_project", "--update", target)
    assert (target / "base/a.py").read_text() == "a = 1\n"
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    assert "brought to this version" in update(target, capsys)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"files": 1}',
        '{"example": null, "files": {"../evil": "x"}}',
        '{"example": null, "files": {}, "extras": ["x"]}',
        "{}",
    ],
)
def test_a_damaged_record_is_one_line(small_template, tmp_path, refused, text):
    target = copy(tmp_path / "mine", "--example", str(small_template / "config.json"))
    (target / ".template.json").write_text(text)
    assert "is damaged" in refused("new_project", "--update", target)


# --------------------------------------------------------------------------------------------------- what is copied


def test_a_model_in_a_folder_of_its_own_is_copied_with_what_it_imports(tmp_path, monkeypatch):
    for room in ("base", *ROOMS):
        shutil.copytree(PROJECT / room, tmp_path / room)
    sources = {
        "model/vision/net.py": "import model.vision.stem\nfrom base import BaseModel\nfrom . import neck\n"
        "from .block import Block\nfrom ..vision.head import Head\nclass Net(BaseModel): ...\n",
        "model/vision/block.py": "class Block: ...\n",
        "model/vision/head.py": "from model import tail\nclass Head: ...\n",
        "model/vision/neck.py": "",
        "model/vision/stem.py": "",
        "model/tail.py": "",
        "tests/model/vision/test_net.py": "",
    }
    for path, source in sources.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(source)
    monkeypatch.setattr(catalog, "PROJECT", tmp_path)
    monkeypatch.setattr(template, "PROJECT", tmp_path)
    catalog.definitions.cache_clear()
    try:
        config = checked(read_json(PROJECT / "config.json") | {"arch": {"type": "Net"}}, "config.json")
        found = {path.relative_to(tmp_path).as_posix() for path in template.example_files(config)}
    finally:
        catalog.definitions.cache_clear()
    assert found >= sources.keys() and "model/mlp.py" not in found
