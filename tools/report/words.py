"""A run in words, and its pictures' names and descriptions."""

import shlex
from typing import Any

from tools.page import Html, element, join, number
from tools.report.run import Run

# By the end of a picture's file name: its title, and what it shows, for those who cannot see it too.
PICTURES = {
    "samples": ("Samples", "The first test samples as the model sees them."),
    "confusion_matrix": ("Confusions", "How often each class, in rows, was taken for each other, in columns."),
    "most_wrong": ("Most wrong samples", "Those whose true class got the lowest probability: above each, the truth, "
                                         "then what the model said and how sure it was."),
    "roc_and_pr": ("ROC, precision and recall", "Each class against the rest, at every threshold; the areas are in "
                                                "the legend."),
    "reliability": ("Calibration", "How often a prediction is right, by its probability; bars above the diagonal mean "
                                   "that the model is too modest, below it too sure."),
    "predicted_and_true": ("Predicted and true", "Each dot is a test sample; on the diagonal the prediction is right."),
    "residuals": ("Residuals", "Prediction minus truth by the prediction, and at the right how they are distributed."),
    "fitted_curve": ("Fitted curve", "The data, and the model's output before and after training."),
}  # fmt: skip
WIDE = ("samples", "most_wrong", "roc_and_pr")


def story(run: Run) -> Html:
    """What was run and what came of it, in a few sentences."""
    sentences: list[Any] = [_what(run)]
    if not run.records:
        return join(*sentences, " No epoch was finished, so there are no numbers yet.")
    last, best = run.records[-1], run.best
    seconds = sum(record.get("seconds") or 0 for record in run.records)
    planned = run.option("trainer", "epochs", default=last["epoch"])
    sentences.append(f" It {_how_far(run, last['epoch'], planned)}, {number(last.get('step'))} steps in "
                     f"{duration(seconds)} on {run.environment.get('device', 'an unknown device')}.")  # fmt: skip
    mode, _, name = run.monitor.partition(" ")
    if mode in ("min", "max") and best.get(name) is not None:
        extreme = "lowest" if mode == "min" else "highest"
        sentences += [
            " Epoch ",
            element("b", best["epoch"]),
            f" has the {extreme} {name}, ",
            element("b", number(best[name])),
            ".",
        ]
    if not run.tests:
        sentences.append(" It was not tested yet.")
    return join(*sentences)


def _what(run: Run) -> Html:
    if not run.config:
        return join("A run whose config is not there.")
    arch, loader, optimizer = (run.option(key, "type", default="?") for key in ("arch", "data_loader", "optimizer"))
    loss = run.option("loss", "type") or run.option("loss", default="?")
    lr = run.option("optimizer", "args", "lr")
    with_lr = (
        f" at a learning rate of {number(lr) if not isinstance(lr, float) else f'{lr:g}'}" if lr is not None else ""
    )
    return join(
        element("b", arch), " trained on ", element("b", loader), f" with {optimizer}{with_lr}, minimizing {loss}."
    )


def _how_far(run: Run, done: int, planned: Any) -> str:
    if not isinstance(planned, int) or done >= planned:
        return f"went through all {number(done)} epoch{'s' * (done != 1)}"
    patience = run.option("trainer", "early_stop")
    has_stopped = isinstance(patience, int) and patience > 0 and done - run.best["epoch"] >= patience
    why = f"stopped early, after {patience} epochs without a better one" if has_stopped else "has not come further"
    return f"went through {number(done)} of {number(planned)} epochs and {why}"


def duration(seconds: float) -> str:
    """For people: 8.2 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def picture_words(name: str) -> tuple[str, str, bool]:
    """Of a picture, such as figures/digit_most_wrong: its title, what it shows, and whether it is a wide one."""
    folder, _, stem = name.replace("\\", "/").rpartition("/")
    kind = next((kind for kind in PICTURES if stem == kind or stem.endswith(f"_{kind}")), "")
    title, shows = PICTURES.get(kind, (stem.replace("_", " "), "A picture from the run's folder."))
    head = stem.removesuffix(kind).rstrip("_") if kind else ""
    other = folder.removeprefix("figures").lstrip("-")
    parts = [title, *([f"output {head}"] if head else []), *([f"data {other}"] if other else [])]
    return ", ".join(parts), shows, kind in WIDE


def commands(run: Run) -> str:
    """The commands that repeat the run and its test."""
    command = run.environment.get("command")
    lines = []
    commit = run.environment.get("git_commit")
    if isinstance(commit, str) and commit:
        lines.append(f"git checkout {shlex.quote(commit.removesuffix('-dirty'))}")
    if isinstance(command, list) and all(isinstance(part, str) for part in command):
        lines.append(shlex.join(command))
    lines.append(f"python test.py -r {shlex.quote(str(run.path))}")
    return "\n".join(lines)


def changes(run: Run) -> bool:
    """Whether the commit is not all of the code that ran."""
    return str(run.environment.get("git_commit", "")).endswith("-dirty")
