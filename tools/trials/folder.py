"""The folder of a search: what it is, so that it goes on only as what it was begun."""

import json
from pathlib import Path
from typing import Any

from parse_config import ConfigParser
from utils.config import TOP, accepts, read_json
from utils.errors import UserError
from utils.files import write_json


def read_config(path: Path, settings: list[str]) -> tuple[dict[str, Any], str]:
    """The config of all trials, before their own settings, and its monitor. One thread, unless it says otherwise."""
    config = ConfigParser(read_json(path), str(path), settings=settings).config
    return config | {"threads": config["threads"] or 1}, config["trainer"]["monitor"]


def open_folder(config: dict[str, Any], name: str, plan: dict[str, Any], file_name: str) -> Path:
    """Make, or open again, and lock saved/<config's name>/<name>. Raises UserError if it is of another plan."""
    from logger.run_dir import lock_folder

    if not accepts(TOP["name"].annotation, name)[0]:
        raise UserError(f"--name {name!r} is not a folder's name: no slash, no leading dot")
    folder = Path(config["trainer"]["save_dir"]).expanduser() / config["name"] / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock_folder(folder)
        path = folder / file_name
        if path.exists():
            _refuse_another(folder, json.loads(path.read_bytes()), plan)
        elif any(entry.name != ".lock" for entry in folder.iterdir()):
            raise UserError(f"{folder} holds something else, no {file_name}; choose another --name")
    except ValueError as error:
        raise UserError(f"{folder / file_name} is damaged ({error}); choose another --name") from None
    except OSError as error:
        raise UserError(f"trainer.save_dir: {folder}: {error.strerror}") from None
    write_json(plan, path)
    return folder


def _refuse_another(folder: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    """More trials are no other plan."""
    from utils.checkpoint import differences

    for key, (before, after) in differences(then, now).items():
        if key != "trials" or (after or 0) < (before or 0):
            values = f"{json.dumps(before)}, not {json.dumps(after)}"
            raise UserError(f"{folder} was begun with {key} = {values}; choose another --name, or delete the folder")
