"""Which of the template's files a copy has: the core, and what its example needs."""

import ast
import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from utils.config import OBJECTS, definitions, named

PROJECT = Path(__file__).resolve().parents[2]
ROOMS = ("data_loader", "model", "trainer")  # of these, only what the example needs is copied, and the core files
CORE_OF_ROOMS = ("__init__.py", "build.py", "check.py", "faults.py", "fingerprint.py", "loss.py", "metric.py",
                 "parallel", "report.py", "several.py", "sizes.py", "sklearn_metric.py", "trainer.py")  # fmt: skip
# Of the tests, those of promises: they stay true whatever the owner adds. Those of the template's style and pages, and
# those that meet all of its examples, stay at home.
CORE = ("base", "logger", "utils", "tools", "train.py", "test.py", "parse_config.py", "config.schema.json",
        "requirements.txt", "requirements-dev.txt", "pyproject.toml", "Makefile", ".gitignore", "saved/.gitkeep",
        "tests/conftest.py", "tests/base", "tests/logger", "tests/utils", "tests/test_commands.py",
        "tests/test_bad_input.py", "tests/test_safety.py", "tests/trainer/test_trainer.py",
        "tests/trainer/parallel")  # fmt: skip
CORE_PAGES = ("06_the_template.md", "07_data_options.md", "08_training_options.md", "reference.md")
TESTED_EXAMPLE = "tests/example.json"  # in a copy, the example as it was: config.json is its owner's
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
# They make copies, and the examples' table; and tests that train what stands in the template's config.json.
AT_HOME = ("tools/new_project", "tools/make_table.py", "tests/logger/test_writers.py", "tests/logger/figures")
# What a copy has beside the core if its owner asks for it by name: nobody shall own what they do not use.
EXTRAS = {
    "search": ("tools/tune", "tools/trials", "tools/repeat.py", "tools/compare.py", "requirements-tune.txt",
               "docs/search.md"),
    "report": ("tools/report", "tools/data", "tools/page", "tools/compare.py", "tools/trials", "docs/looking.md"),
}  # fmt: skip


def core_files(extras: Iterable[str] = ()) -> set[Path]:
    """What every copy has, whatever its example, and these extras."""
    asked = {entry for name in extras for entry in EXTRAS[name]}
    left_out = [PROJECT / entry for entry in {*AT_HOME, *chain(*EXTRAS.values())} - asked]
    files = {path for entry in (*CORE, *asked) for path in files_below(PROJECT / entry)}
    files |= {path for room in ROOMS for name in CORE_OF_ROOMS for path in files_below(PROJECT / room / name)}
    files = {path for path in files if path.is_file() and not any(map(path.is_relative_to, left_out))}
    return files | pictures_of(path for path in files if path.suffix == ".md")


def files_below(path: Path) -> list[Path]:
    """A file, or all of a folder's but what Python caches."""
    return [path] if path.is_file() else [p for p in path.rglob("*") if "__pycache__" not in p.parts]


def example_files(config: dict[str, Any]) -> set[Path]:
    """The code that a checked config names, the tests that mirror it, and the project's own data that it names."""
    entries = [("arch", model) for model in named(config["arch"]).values()]
    entries += [(key, config[key]) for key in ("data_loader", "trainer")]
    paths = {definitions(OBJECTS[key].package)[entry["type"]].path for key, entry in entries}
    return needed_by(paths) | data_files(config)


def needed_by(paths: Iterable[Path]) -> set[Path]:
    """Some files of the rooms, their tests, and the files that all these import."""
    found: set[Path] = set()
    waiting = list(paths)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            beside = [path.with_name("__init__.py")]
            # loss.py and metric.py become their owner's; the tools' tests meet all of the template
            if path.name not in CORE_OF_ROOMS and not path.is_relative_to(PROJECT / "tools"):
                beside.append(PROJECT / "tests" / path.relative_to(PROJECT).with_name(f"test_{path.name}"))
            waiting += [*imports_from_rooms(path), *filter(Path.is_file, beside)]
    return found


def data_files(value: Any) -> set[Path]:
    """The project's own files, such as a small table, that a config's texts name."""
    if isinstance(value, dict | list):
        return set().union(*map(data_files, value.values() if isinstance(value, dict) else value))
    path = (PROJECT / value).resolve() if isinstance(value, str) else PROJECT
    return {path} if path.is_file() and PROJECT in path.parents else set()


def imports_from_rooms(path: Path) -> set[Path]:
    """The files of the rooms, and of tools, that a file imports, in whatever words."""
    modules: set[Path] = set()  # without their suffix
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {PROJECT.joinpath(*alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            folder = path.parents[node.level - 1] if node.level else PROJECT
            module = folder.joinpath(*(node.module or "").split("."))
            modules |= {module, *(module / alias.name for alias in node.names)}
    files = {file for module in modules for file in (module.with_suffix(".py"), module / "__init__.py")}
    rooms = [PROJECT / room for room in (*ROOMS, "tools")]
    return {file for file in files if file.is_file() and any(room in file.parents for room in rooms)}


# --------------------------------------------------------------------------------------------------------- pages


def pages_for(example: str) -> set[Path]:
    """The docs' pages on the core, those that speak of an example such as configs/mnist_lenet.json, their pictures."""
    pages = {page for page in (PROJECT / "docs/examples").glob("*.md") if example in page.read_text(encoding="utf-8")}
    pages |= {page for name in CORE_PAGES if (page := PROJECT / "docs" / name).is_file()}
    return pages | pictures_of(pages)


def pictures_of(pages: Iterable[Path]) -> set[Path]:
    """The pictures that some pages show."""
    links = {(page.parent / link).resolve() for page in pages for _, link in LINK.findall(page.read_text("utf-8"))}
    return {file for file in links if file.is_file() and file.is_relative_to(PROJECT / "docs/images")}


def file_for_copy(path: Path, copied: set[Path]) -> bytes:
    """A file as it is copied: in a page, what would lead to a file that is not among `copied` is no link."""

    def keep(link: re.Match) -> str:
        file = (path.parent / link[2].partition("#")[0]).resolve()
        return link[0] if link[2].startswith(("http", "#")) or file in copied else link[1]

    content = path.read_bytes()
    return content if path.suffix != ".md" else LINK.sub(keep, content.decode()).encode()
