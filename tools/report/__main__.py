"""One HTML file of what runs did, to look at and to send on: results, curves, pictures, configs, how to repeat them.

python -m tools.report saved/<name>/<run_id>                                       writes report.html into its folder
python -m tools.report saved/<name>/<run_id> saved/<name>/<another> -o both.html   side by side

It needs no network and holds no other files. A run that was not tested, or was killed, is shown as far as it came.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.page import Html, element, join, page
from tools.report import sections
from tools.report.run import Run, read_runs
from tools.report.words import story
from utils.errors import UserError, printable, run_command
from utils.files import write_atomically


def main(argv: list[str] | None = None) -> None:
    """Read the runs, write the page, and say where it is."""
    parser = argparse.ArgumentParser("python -m tools.report", description="Write one HTML file of what runs did.")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's folder")
    parser.add_argument("-o", "--output", type=Path, help="default: report.html in the (first) run's folder")
    args = parser.parse_args(argv)
    runs = read_runs(args.runs)
    output = args.output or runs[0].path / "report.html"
    if not output.parent.is_dir() or output.is_dir():
        raise UserError(f"-o {output}: it must be a file in a folder that is there")
    text = report(runs)
    write_atomically(output, lambda file: file.write(text.encode()))
    print(printable(f"Written to {output}, {len(text.encode()) / 1e6:.1f} MB"))


def report(runs: Sequence[Run]) -> str:
    """The page of a run, or of several ones."""
    if len(runs) > 1:
        return _report_of_several(runs)
    [run] = runs
    parts = (sections.results, sections.curves, sections.pictures, sections.notes, sections.config, sections.repeat)
    title = str(run.option("name", default=run.label))
    return page(title, f"Report of the run {run.label}", story(run), *(part(run) for part in parts))


def _report_of_several(runs: Sequence[Run]) -> str:
    names = list(dict.fromkeys(str(run.option("name", default=run.path.parent.name)) for run in runs))
    lede = join(f"{len(runs)} runs side by side: ", _listed([run.label for run in runs]), ".")
    parts: list[Html | None] = [sections.comparison(runs), sections.common_curves(runs)]
    for run in runs:
        head = element("header", element("h2", run.label, class_="run"), element("p", story(run), class_="lede"))
        parts += [head, sections.results(run), sections.pictures(run), sections.notes(run), sections.config(run),
                  sections.repeat(run)]  # fmt: skip
    return page(" and ".join(names) if len(names) <= 3 else f"{len(runs)} runs", "Report of several runs", lede, *parts)


def _listed(names: Sequence[str]) -> Html:
    """The first names with commas between them."""
    bold = [element("b", name) for name in names[:8]]
    return Html(", ".join([*bold, "..."] if len(names) > 8 else bold))


if __name__ == "__main__":
    sys.exit(run_command(main))
