"""The pages' code is run, and what it claims to show is compared with what it shows.

The ```python blocks of a page run in order in one namespace, in a temporary folder. `# -> text` behind a statement is
what the statement prints or, if it prints nothing, its value; spaces and line ends do not count.
"""

import ast
import contextlib
import inspect
import io
import json
import multiprocessing
import re
import shlex
import shutil
import subprocess
import sys
from functools import partialmethod
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.docs.pages import blocks, run_in_its_own_process, run_line
from tools.trials import processes
from trainer import Trainer

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted(page for page in (PROJECT / "docs").rglob("*.md") if "ko" not in page.parts)  # see test_korean.py
CLAIM = re.compile(r"\s# -> (.+)$")


def run_page(path):
    """Run a page; returns how many claims it has. AssertionError, with the line, for a claim that does not hold."""
    namespace = {"__name__": "__main__"}
    n_claims = 0
    for first_line, code in blocks(path.read_text(encoding="utf-8"), "python"):
        lines = code.splitlines()
        claims = {number: match[1] for number, line in enumerate(lines, 1) if (match := CLAIM.search(line))}
        n_claims += len(claims)
        for statement in ast.parse(code).body:
            claim = claims.pop(statement.end_lineno, None)
            line = first_line + statement.lineno - 1
            shown = run_statement(ast.increment_lineno(statement, first_line - 1), namespace, str(path))
            if claim is not None:
                assert shown.split() == claim.split(), f"{path.name}:{line} shows {shown}, not {claim}"
        assert not claims, f"{path.name}: no statement ends where it claims {claims}"
    return n_claims


def run_statement(statement, namespace, filename):
    """What a statement prints, or else the value it has."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if isinstance(statement, ast.Expr):
            value = eval(compile(ast.Expression(statement.value), filename, "eval"), namespace)
        else:
            value = exec(compile(ast.Module([statement], []), filename, "exec"), namespace)
    return printed.getvalue() or repr(value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs_and_shows_what_it_claims(page, tmp_path, monkeypatch):
    if page.stem == "hugging_face":
        pytest.importorskip("transformers")
        pytest.importorskip("datasets")
    monkeypatch.chdir(tmp_path)
    run_page(page)


def test_the_notebook_runs(project, monkeypatch):
    """Its code cells in order, in one namespace."""
    matplotlib = pytest.importorskip("matplotlib")
    monkeypatch.chdir(project)
    cells = json.loads((PROJECT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    namespace = {"__name__": "__main__"}
    with matplotlib.rc_context({"backend": "agg"}), monkeypatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        for number, cell in enumerate(cells):
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), f"notebook.ipynb, cell {number}", "exec"), namespace)
        namespace["plt"].close("all")
    assert namespace["x"].shape == (200, 1) and namespace["records"][-1]["val_loss"] < 0.02
    assert namespace["result"]["best"]["val_accuracy"] > 0.9


def page_of(tmp_path, code):
    path = tmp_path / "page.md"
    path.write_text(f"# A page\n\n```python\n{code}\n```\n")
    return path


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1 + 1  # -> 3", "page.md:4 shows 2, not 3"),
        ("a = 1\nprint(a)  # -> 2", "page.md:5 shows 1"),
        ("a = 1  # -> 1", "shows None, not 1"),
        ("f = (  # -> 1\n    1\n)", "no statement ends where"),
        ("assert 1 == 2", ""),
    ],
)
def test_a_false_claim_fails(tmp_path, code, words):
    with pytest.raises(AssertionError) as failure:
        run_page(page_of(tmp_path, code))
    assert words in str(failure.value)


@pytest.mark.parametrize("line", ["python train.py -c no_such.json", "python -m tools.report", "make train"])
def test_a_command_that_fails_is_a_failure(line):
    with pytest.raises(AssertionError, match=line):
        run_line(line)


def test_a_true_claim_passes_and_is_counted(tmp_path):
    code = "import torch\ntorch.tensor([[1, 2],\n  [3, 4]])  # -> tensor([[1, 2], [3, 4]])\nprint('a\\nb')  # -> a b"
    assert run_page(page_of(tmp_path, code)) == 2


def test_the_pages_on_tensors_claim_many_things(tmp_path, monkeypatch):
    """Would notice if blocks or claims were no longer found."""
    monkeypatch.chdir(tmp_path)
    assert run_page(PROJECT / "docs" / "01_tensors.md") > 30


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_files(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_files_that_are_named_exist(page):
    named = re.findall(
        r"`[^`\n]*?((?:tests|benchmarks|tools|trainer|base|utils|logger)/[\w/]+(?:\.py)?)", page.read_text()
    )
    named += re.findall(r"^pytest .*?(tests/[\w/.]+)", page.read_text(), re.MULTILINE)
    assert [path for path in named if not (PROJECT / path).exists() and "mine" not in path] == []


def test_the_index_names_every_page():
    index = (PROJECT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in PAGES:
        assert page.name == "README.md" or f"({page.relative_to(PROJECT / 'docs')})" in index, page


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy, so that the commands can be run word for word without leaving runs here."""
    leave_out = shutil.ignore_patterns(".*", "saved", "tests", "docs", "__pycache__")
    project = shutil.copytree(PROJECT, tmp_path_factory.mktemp("docs") / "project", ignore=leave_out)
    shutil.rmtree(project / "data", ignore_errors=True)
    return project


def lines(page, replaced=()):
    """A page's commands in order, with pairs (text, by what it is replaced)."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    return [line for _, block in blocks(text, "bash") for line in block.splitlines()]


@pytest.fixture
def no_figures(monkeypatch):
    """Of a test: they take long, and the page on looking has them."""
    monkeypatch.setattr("logger.figures.results.draw_figures", lambda *arguments: [])


@pytest.fixture
def run_page_commands(project, monkeypatch):
    """Run a page's commands in order in the copy's folder; returns what they print."""
    monkeypatch.chdir(project)
    return lambda page, replaced=(): "".join(run_line(line) for line in lines(page, replaced))


def test_the_files_and_commands_of_the_page_on_the_template_work(project, tmp_path):
    """Its blocks that begin with a file's name, its config, its commands in order."""
    text = (PROJECT / "docs" / "06_the_template.md").read_text(encoding="utf-8")
    for _, code in blocks(text, "python"):
        if name := re.match(r"# (\w+/\w+\.py)\n", code):
            (project / name[1]).write_text(code, encoding="utf-8")
    [(_, config)] = blocks(text, "json")
    (project / "configs" / "points.json").write_text(config, encoding="utf-8")
    commands = lines("06_the_template.md")
    assert len(commands) == 4
    run_in_its_own_process(project, commands, tmp_path / "said")
    results = json.loads((project / "saved" / "Points" / "first" / "test_metrics.json").read_text())
    assert results["loss"] < 0.02
    assert results["n_samples"] == 200


def test_the_commands_of_the_page_on_options_work_and_name_every_option(run_page_commands, monkeypatch):
    """No C++ compiler: tests/trainer/test_options.py compiles with one."""
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend="eager"))
    printed = run_page_commands("08_training_options.md")
    assert printed.count("Everything works") == len(lines("08_training_options.md"))
    text = (PROJECT / "docs" / "08_training_options.md").read_text(encoding="utf-8")
    options = inspect.signature(Trainer).parameters.values()
    names = {p.name for p in options if p.kind is p.KEYWORD_ONLY} | {"schedule_per", "warmup_steps"}
    assert all(f"**`{name}" in text for name in names)


@pytest.mark.crash  # half a minute; tests/trainer/parallel starts processes in less
def test_the_commands_of_the_page_on_many_gpus_work(project):
    """torchrun as a module, so that it is this Python's."""
    text = (PROJECT / "docs" / "scaling.md").read_text(encoding="utf-8")
    [(_, block)] = blocks(text, "bash")
    for line in block.splitlines():
        command = shlex.split(line.replace("torchrun", "python -m torch.distributed.run"))
        subprocess.run([sys.executable, *command[1:]], cwd=project, check=True, capture_output=True)
    assert (project / "saved" / "Digits_MLP" / "shared" / "test_metrics.json").exists()


def test_the_page_on_a_search_ends_with_a_number(project, monkeypatch, no_figures):
    """There are many runs: here they are fewer, short, of a small model and, after the first search, forks of this."""
    quick = ("trainer.epochs=1 trainer.tensorboard=false arch.args.sizes=[64,8,10] data_loader.args.batch_size=256 "
             "metrics=['\"accuracy\"']")  # fmt: skip
    text = (PROJECT / "docs" / "search.md").read_text(encoding="utf-8")
    for name, (_, space) in zip(("rate.json", "space.json"), blocks(text, "json"), strict=True):
        assert f"`{name}`" in text
        (project / name).write_text(space.replace("1e-5, 1e-4, 1e-3, ", ""), encoding="utf-8")
    fewer = [("trainer.epochs=5", quick), ("--trials 8", "--trials 2"), ("--seeds 5", "--seeds 2")]
    first, *others = lines("search.md", fewer)
    assert len(others) == 6
    monkeypatch.chdir(project)
    run_line(first)
    torch.optim.SGD([torch.zeros(1)])  # imports torch._dynamo, which each of the forks would
    monkeypatch.setattr(processes, "CONTEXT", multiprocessing.get_context("fork"))
    printed = "".join(map(run_line, others))
    saved = project / "saved" / "Digits_MLP"
    assert [len(list((saved / name).glob("trial-*"))) for name in ("rate", "search")] == [2, 2]
    assert all((saved / "search" / name).read_bytes().startswith(b"\x89PNG") for name in ("values.png", "parallel.png"))
    assert re.search(r"val_loss of \S+ is higher by .* of 2 pairs.*\n.*val_accuracy", printed, re.DOTALL)
    assert json.loads((saved / "after" / "seed-1000" / "test_metrics.json").read_text())["n_samples"] == 360


def test_a_few_samples_are_learned_by_heart(project, run_page_commands):
    run_page_commands("when_training_fails.md")
    *_, last = (project / "saved" / "Digits_MLP" / "few" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(last)["accuracy"] == 1


def test_the_commands_of_the_page_on_looking_work(project, run_page_commands):
    run_page_commands("looking.md", [("trainer.epochs=5", "trainer.epochs=1")])
    runs = project / "saved" / "Digits_MLP"
    for page in (runs / "data.html", runs / "first" / "report.html", project / "both.html"):
        assert page.read_text(encoding="utf-8").endswith("</html>\n")
    assert "arch.args.sizes" in (project / "both.html").read_text(encoding="utf-8")
    assert (runs / "first" / "predictions.csv").exists() and (runs / "first" / "figures" / "curves.png").exists()


def test_the_commands_of_the_page_on_tables_work(project, run_page_commands, no_figures):
    table = pd.read_csv(project / "configs" / "passengers.csv")
    table.rename(columns={"survived": "label"}).to_csv(project / "mine.csv", index=False)
    table.head(7).to_csv(project / "other.csv", index=False)
    run_page_commands("examples/csv.md", [("--run-id first", "--run-id first -s trainer.epochs=2")])
    run_dir = project / "saved" / "Csv_Classification" / "first"
    assert json.loads((run_dir / "test_metrics-other.json").read_text())["n_samples"] == 7


def test_from_a_file_to_a_prediction(project, monkeypatch, tmp_path):
    """The commands of that page: the first one in the template, the others in the project that it made."""
    begin, *others = lines("your_data.md", [("--run-id balanced -s", "--run-id balanced -s trainer.epochs=1")])
    monkeypatch.chdir(project)
    assert "Task: classification" in run_line(begin)
    mine = project.parent / "mine"
    shutil.copytree(project / "configs", mine / "configs", dirs_exist_ok=True)  # the table, which may lie anywhere
    printed = run_in_its_own_process(mine, others, tmp_path / "said")
    assert json.loads((mine / "saved/passengers/first/test_metrics.json").read_text())["accuracy"] > 0.7
    assert "probability" in printed and "1000" in printed


def test_the_messages_that_are_explained_are_those_of_the_code():
    text = (PROJECT / "docs" / "when_training_fails.md").read_text(encoding="utf-8").split("## Messages")[1]
    rows = re.findall(r"^\| `(.+?)` \|", text, re.MULTILINE)
    assert rows[0].startswith("trainer.epoch: unknown option")  # composed, and shown in docs/everyday.md
    ours = rows[1 : next(i for i, row in enumerate(rows) if row.startswith("Expected all tensors"))]  # then torch's
    sources = [path.read_text(encoding="utf-8") for room in ("utils", "base", "model", "trainer")
               for path in (PROJECT / room).rglob("*.py")]  # fmt: skip
    code = re.sub(r'"\n\s*f?"', "", "\n".join(sources))  # texts that go on in the next line
    assert len(ours) >= 9
    for row in ours:
        words = re.split(r"'\w+'|\[.*?\]|\d+|[\w.]+:|\bOptimizer\b", row)  # without what differs each time
        assert all(part.strip(" ,?") in code for part in words), row
