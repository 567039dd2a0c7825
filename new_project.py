"""Start a project of your own: the core and one example in a new folder that trains and passes its tests at once.

python new_project.py ../my-project                                        with the default example
python new_project.py ../my-project --example configs/mnist_lenet.json     with another one
"""

import argparse
import ast
import shutil
import sys
from pathlib import Path
from typing import Any

from utils.config import OBJECTS, checked, definitions, read_json
from utils.errors import UserError, run_command

PROJECT = Path(__file__).resolve().parent
ROOMS = ("data_loader", "model", "trainer")  # of these, only what the example needs is copied, and the core files
CORE_OF_ROOMS = ("__init__.py", "loss.py", "metric.py", "report.py", "trainer.py")
WHOLE = ("base", "logger", "utils", "train.py", "test.py", "parse_config.py", "requirements.txt",
         "requirements-dev.txt", "pyproject.toml", "Makefile", ".gitignore", "saved/.gitkeep", "tests/conftest.py",
         "tests/base", "tests/logger", "tests/utils", "tests/test_commands.py", "tests/test_bad_input.py",
         "tests/test_structure.py", "tests/trainer/test_trainer.py", "tools/__init__.py", "tools/check.py")  # fmt: skip

README = """# {name}

    make train      set everything up and train config.json
    make test       set everything up, check the code and run the tests

With an environment of your own:

    pip install -r requirements.txt
    python train.py -c config.json
    python test.py -r saved/<name>/<run_id>/model_best.pth
    tensorboard --logdir saved

Add a dataset in `data_loader/`, a model in `model/`, and name their classes in `config.json`.
"""


def main(argv: list[str] | None = None) -> None:
    """Find the example's files, copy them and the core."""
    parser = argparse.ArgumentParser("new_project.py", description="Copy the core and one example into a new folder.")
    parser.add_argument("target", type=Path, help="the new folder; it may exist only if it is empty")
    parser.add_argument("--example", type=Path, default=PROJECT / "config.json", metavar="CONFIG")
    args = parser.parse_args(argv)

    target, example = args.target, args.example
    config = checked(read_json(example), str(example))
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} exists and is not empty; name a new folder")
    if PROJECT in target.resolve().parents:
        raise UserError(f"{target} lies inside the template; name a folder outside it, such as ../my-project")

    try:
        target.mkdir(parents=True, exist_ok=True)
        for path in [*files_to_copy(config), *own_config(example)]:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / path, target / path)
        shutil.copyfile(example, target / "config.json")
        (target / "README.md").write_text(README.format(name=target.resolve().name), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {error.strerror or error}") from None
    print(f"{target} is ready:\n\n    cd {target}\n    make train")


def files_to_copy(config: dict) -> list[Path]:
    """The core's files, and those of the example with the tests that mirror them, relative to the project."""
    files = {path for entry in WHOLE for path in files_below(PROJECT / entry)}
    files |= {PROJECT / room / name for room in ROOMS for name in CORE_OF_ROOMS}
    files |= needed_by(config) | data_files(config)
    return sorted(path.relative_to(PROJECT) for path in files if path.is_file())


def own_config(example: Path) -> list[Path]:
    """The example's place in configs/: its tests, and a later reader, look for it there."""
    path = example.resolve()
    return [path.relative_to(PROJECT)] if PROJECT / "configs" in path.parents else []


def files_below(path: Path) -> list[Path]:
    """A file, or all of a folder's but what Python caches."""
    return [path] if path.is_file() else [p for p in path.rglob("*") if "__pycache__" not in p.parts]


def needed_by(config: dict) -> set[Path]:
    """The files of the rooms that define what the config names, their tests, and the files that those import."""
    found: set[Path] = set()
    waiting = [
        definitions(OBJECTS[key].package)[config[key]["type"]].path for key in ("arch", "data_loader", "trainer")
    ]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            tests = PROJECT / "tests" / path.relative_to(PROJECT).with_name(f"test_{path.name}")
            beside = [file for file in (tests, path.with_name("__init__.py")) if file.is_file()]
            waiting += [*imports_from_rooms(path), *beside]
    return found


def data_files(value: Any) -> set[Path]:
    """The project's own files, such as a small table, that a config's texts name."""
    if isinstance(value, dict | list):
        return set().union(*map(data_files, value.values() if isinstance(value, dict) else value))
    path = (PROJECT / value).resolve() if isinstance(value, str) else PROJECT
    return {path} if path.is_file() and PROJECT in path.parents else set()


def imports_from_rooms(path: Path) -> list[Path]:
    """The files of the rooms, and of tools, that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    files = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            folder = path.parents[node.level - 1] if node.level else PROJECT
            files.append(folder.joinpath(*node.module.split(".")).with_suffix(".py"))
    return [f for f in files if f.is_file() and f.relative_to(PROJECT).parts[0] in (*ROOMS, "tools")]


if __name__ == "__main__":
    sys.exit(run_command(main))
