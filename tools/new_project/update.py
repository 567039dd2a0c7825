"""Bring a copy's untouched files to this version of the template. What its owner changed is theirs."""

import hashlib
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from logger.run_dir import git_commit
from tools.new_project.files import EXTRAS, PROJECT, TESTED_EXAMPLE, core_files, file_for_copy, needed_by
from utils.errors import UserError
from utils.files import write_atomically, write_json

RECORD = ".template.json"  # in a copy: where each file came from, and what it was


def write_record(target: Path, files: dict[str, str], example: str | None, extras: Iterable[str]) -> None:
    """Remember what was copied. files: the hash of each, by path; example: the config that is the tests' example."""
    record = {"template": git_commit(), "example": example, "extras": sorted(extras)}
    write_json(record | {"files": dict(sorted(files.items()))}, target / RECORD)


def read_record(target: Path) -> dict[str, Any]:
    """What `write_record` wrote. Raises UserError if new_project.py did not make this folder."""
    path = target / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        places = map(PurePosixPath, record["files"])
        is_inside = not any(place.is_absolute() or ".." in place.parts for place in places)
        if is_inside and "example" in record and set(record.setdefault("extras", [*EXTRAS])) <= EXTRAS.keys():
            return record
    except FileNotFoundError:
        raise UserError(f"{target} has no {RECORD}: new_project.py of this template did not make it") from None
    except (KeyError, TypeError, ValueError):
        pass
    raise UserError(f"{path} is damaged; put the one of an earlier commit back")


def hash_of(content: bytes) -> str:
    """The same for both kinds of line ends: git may change them."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def update(target: Path, extras: Iterable[str] = ()) -> list[str]:
    """Update a copy, and add extras; returns lines that say what was done. After an error, run it again: it goes on."""
    record = read_record(target)
    record["extras"] = {*record["extras"], *extras}
    _refuse_uncommitted(target)
    known: dict[str, str] = record["files"]
    done: dict[str, list[str]] = {"updated": [], "new": [], "yours": [], "both": [], "deleted": []}
    sources = _sources(target, record)
    for path, source in sources.items():
        content, file = file_for_copy(source, {*sources.values()}), target / path
        new, before = hash_of(content), known.get(path)
        now = hash_of(file.read_bytes()) if file.is_file() else None
        if now is None and before is not None:
            done["deleted"].append(path)
        elif now is not None and now not in (before, new):
            done["both" if before != new else "yours"].append(path)
        else:
            if now != new:
                file.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(file, lambda opened, content=content: opened.write(content))
                done["new" if now is None else "updated"].append(path)
            known[path] = new
    write_record(target, known, record["example"], record["extras"])
    gone = [path for path in known if path not in sources and (target / path).exists()]
    return [
        f"{target}: from {record.get('template') or 'an unknown commit'} to {git_commit() or 'an unknown commit'}",
        *_line("brought to this version", done["updated"]),
        *_line("new", done["new"]),
        *_line("changed by you, and left alone", done["yours"]),
        *_line(f"changed by you, and by the template; left alone, compare with {PROJECT}", done["both"]),
        *_line("deleted by you, and left out", done["deleted"]),
        *_line("no longer in the template, and kept", gone),
    ]


def _sources(target: Path, record: dict[str, Any]) -> dict[str, Path]:
    """By its path in the copy, the template's file: of the core, of what was copied, and of what that imports now."""
    core = core_files(record["extras"])
    copied = {PROJECT / path for path in record["files"] if (PROJECT / path).is_file()}
    there = [path for path in copied - core if path.suffix == ".py" and (target / path.relative_to(PROJECT)).is_file()]
    files = core | copied | needed_by(there)
    sources = {path.relative_to(PROJECT).as_posix(): path for path in sorted(files)}
    if record["example"] and (PROJECT / record["example"]).is_file():
        sources[TESTED_EXAMPLE] = PROJECT / record["example"]
    return sources


def _refuse_uncommitted(target: Path) -> None:
    """Of a project in git, all is to be committed: so the owner sees what an update does, and can undo it."""
    command = ["git", "-C", str(target), "status", "--porcelain", "--", "."]
    try:
        changes = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # no git, or not in git
        return
    if changes.strip():
        raise UserError(f"{target} has changes that are not committed; commit them first, then an update can be undone")


def _line(what: str, paths: list[str]) -> list[str]:
    return [f"{what} ({len(paths)}): {', '.join(paths)}"] if paths else []
