"""What others expect of a repository says the same as the Makefile, which is tested by being used."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
PROJECT = Path(__file__).resolve().parent.parent
TARGETS = set(re.findall(r"^(\w+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))


def read(name: str) -> dict:
    return yaml.safe_load((PROJECT / name).read_text(encoding="utf-8"))


def test_the_workflow_runs_what_ci_runs():
    [job] = read(".github/workflows/test.yml")["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands == [(PROJECT / ".ci/run").read_text().splitlines()[-1]]


def test_the_hooks_are_targets_of_the_makefile():
    [repository] = read(".pre-commit-config.yaml")["repos"]
    entries = [hook["entry"] for hook in repository["hooks"]]
    assert {entry.removeprefix("make ") for entry in entries} == {"lint", "test"} <= TARGETS
    shown = re.search(r"^```bash\n(.*?)^```", (PROJECT / "CONTRIBUTING.md").read_text(), re.DOTALL | re.MULTILINE)
    assert shown and shown[1].splitlines() == entries


@pytest.mark.parametrize("name", ["bug", "idea"])
def test_issue_templates_have_what_github_asks_of_them(name):
    template = read(f".github/ISSUE_TEMPLATE/{name}.yml")
    assert template["name"] and template["description"]
    ids = [field["id"] for field in template["body"]]
    assert len(set(ids)) == len(ids) and all(field["attributes"]["label"] for field in template["body"])


def test_the_citation_is_of_the_changelogs_version():
    citation = read("CITATION.cff")
    newest = re.search(r"^## (\S+)", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest and citation["version"] == newest[1]
    assert citation["license"] == "MIT" and "MIT License" in (PROJECT / "LICENSE").read_text()


def test_the_dockerfile_copies_and_runs_what_is_there():
    dockerfile = (PROJECT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (\S+) ", dockerfile, re.MULTILINE)
    assert copied and all((PROJECT / path).exists() for path in copied)
    command = json.loads(re.search(r"^CMD (.+)$", dockerfile, re.MULTILINE)[1])
    assert command[0] == "python" and (PROJECT / command[1]).is_file() and (PROJECT / command[-1]).is_file()


@pytest.mark.parametrize("has_uv", [True, False])
def test_make_uses_uv_where_there_is_one(tmp_path, has_uv):
    for name in ("Makefile", "requirements.txt"):
        (tmp_path / name).write_bytes((PROJECT / name).read_bytes())
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "sh"):
        (tools / name).symlink_to(shutil.which(name))
    if has_uv:
        (tools / "uv").write_text("#!/bin/sh\n")
        (tools / "uv").chmod(0o755)
    # the tests themselves run under make, whose flags would reach this one
    plan = subprocess.run(["make", "--dry-run", "train"], cwd=tmp_path, env={"PATH": str(tools)},
                          capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert ("uv pip install" in plan) == has_uv and ("-m venv .venv" in plan) != has_uv
    assert plan.splitlines()[-1] == ".venv/bin/python train.py -c config.json"
