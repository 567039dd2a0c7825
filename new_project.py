"""Start a project of your own: the core and one example in a new folder that trains and passes its tests at once.

python new_project.py ../my-project                                        with the default example
python new_project.py ../my-project --example configs/mnist_lenet.json     with another one
python new_project.py ../my-project --from table.csv --target price        for data of your own, a CSV file
python new_project.py ../my-project --from pictures/                       ... or pictures in a folder for each class
python new_project.py ../my-project --with search --with report            with tools.tune, tools.report and their like
python new_project.py --update ../my-project                               bring a copy to this version (and --with)
"""

import argparse
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from tools.new_project.files import (
    EXTRAS,
    PROJECT,
    TESTED_EXAMPLE,
    core_files,
    example_files,
    file_for_copy,
    pages_for,
)
from tools.new_project.own_data import config_from
from tools.new_project.settings import config_text
from tools.new_project.update import hash_of, update, write_record
from utils.config import checked, named, read_json
from utils.errors import UserError, run_command

README = """# {title}

Began as `{example}` of the PyTorch project template.

    make train      set everything up and train config.json
    make test       set everything up and run the tests
    make lint       set everything up and check the code (ruff, basedpyright)

With an environment of your own:

    pip install -r requirements.txt
{commands}
    tensorboard --logdir saved

Add a dataset in `data_loader/`, a model in `model/`, and name their classes in `config.json`. The pages in `docs/` say
how, and `python -m tools.export --help` and the like what else there is.

Searches (`tools.tune`, `tools.repeat`, `tools.compare`) and pages to look at (`tools.report`, `tools.data`) come along
if you ask for them, in the template's folder:

    python new_project.py --update path/to/{title} --with search --with report

## Results

| run | what is different | validation | test |
|---|---|---|---|
| first | `config.json` | | |
"""


def main(argv: list[str] | None = None) -> None:
    """Make a copy, or update one."""
    parser = argparse.ArgumentParser("new_project.py", description="Copy the core and one example into a new folder.")
    parser.add_argument("folder", type=Path, help="the new folder; it may exist only if it is empty")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--example", type=Path, default=PROJECT / "config.json", metavar="CONFIG")
    what.add_argument("--from", type=Path, dest="data", metavar="DATA", help="your own CSV file or folder of pictures")
    what.add_argument("--update", action="store_true", help="bring the untouched files of a copy to this version")
    tools = "search: tools.tune, .repeat, .compare; report: tools.report, .data; may be given twice"
    parser.add_argument("--with", dest="extras", action="append", default=[], choices=EXTRAS, help=tools)
    parser.add_argument("--target", metavar="NAME", help="with --from: the column to predict")
    parser.add_argument("--task", choices=("classification", "regression"), help="with --from: if not as it looks")
    args = parser.parse_args(argv)
    if (args.target or args.task) and not args.data:
        parser.error("--target and --task say what to do with the data of --from")
    if args.update:
        print("\n".join(update(args.folder, args.extras)))
        return
    refuse_used(args.folder)
    if args.data is None:
        copy(args.folder, args.example, args.extras)
        print(f"{args.folder} is ready:\n\n    cd {args.folder}\n    make train")
        return
    config, lines, example = config_from(args.data, args.target, args.task)
    copy(args.folder, example, args.extras, config, args.data)
    lines.append(f"{args.folder} is ready. The data stay where they are: config.json names their path.")
    print("\n".join(lines) + f"\n\n    cd {args.folder}\n{commands_of(config, args.data)}")


def commands_of(config: dict[str, Any], data: Path | None) -> str:
    """What to do with a project, in order. data: a person's own, some of which are predicted as a first try."""
    run = shlex.quote(f"saved/{config['name']}/first")
    commands = ["train.py -c config.json --run-id first", f"test.py -r {run}"]
    commands += [f"-m tools.predict -r {run} {shlex.quote(str(data.resolve()))}"] if data else []
    return "\n".join(f"    python {command}" for command in commands)


def refuse_used(target: Path) -> None:
    """Raise UserError for a folder that is no new one."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} exists and is not empty; name a new folder")
    if target.resolve().is_relative_to(PROJECT):
        raise UserError(f"{target} lies inside the template; name a folder outside it, such as ../my-project")


def copy(
    target: Path,
    example: Path,
    extras: list[str],
    config: dict[str, Any] | None = None,
    data: Path | None = None,
) -> None:
    """Fill a new folder with the core, an example, and what the owner asked for beside them.

    config, data: for data of one's own; the example's config is then for the tests only.
    """
    checked_example = checked(read_json(example), str(example))
    own = example.resolve()
    place = place_of(own)
    sources = core_files(extras) | example_files(checked_example) | pages_for(place or example.name)
    tested = own
    if "" not in named(checked_example["arch"]):  # of several models: the tests of the core are of one
        tested = PROJECT / "config.json"
        sources |= example_files(checked(read_json(tested), str(tested)))
    if own.is_relative_to(PROJECT / "configs"):  # a later reader looks for it there
        sources.add(own)
    contents = {path.relative_to(PROJECT).as_posix(): file_for_copy(path, sources) for path in sources}
    contents[TESTED_EXAMPLE] = tested.read_bytes()
    title = target.resolve().name
    readme = README.format(
        title=title, example=place or example.name, commands=commands_of(config or checked_example, data)
    )
    own_config = config_text(config) if config else own.read_bytes()
    own_config = own_config.replace(b'"../config.schema.json"', b'"config.schema.json"')
    theirs = {"config.json": own_config, "README.md": readme.encode()}  # an update leaves them alone
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path, content in (contents | theirs).items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes(content)
        write_record(target, {path: hash_of(content) for path, content in contents.items()}, place_of(tested), extras)
    except BaseException as error:  # a copy is whole, or not there
        shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, OSError):
            raise UserError(f"{target}: cannot be written: {error.strerror or error}") from None
        raise


def place_of(config: Path) -> str | None:
    """Where in the template a config lies, if it does."""
    return config.relative_to(PROJECT).as_posix() if config.is_relative_to(PROJECT) else None


if __name__ == "__main__":
    sys.exit(run_command(main))
