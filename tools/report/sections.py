"""The parts of a report."""

import base64
import json
import math
from collections.abc import Sequence
from typing import Any

from tools.page import Html, Series, element, join, line_chart, number, section, sentence, table
from tools.page.charts import N_COLORS, values_of
from tools.page.html import NONE
from tools.report.run import Run
from tools.report.words import changes, commands, duration, picture_words

MAX_CHARTS = 24
MAX_CARDS = 4
NOT_RESULTS = ("epoch", "step", "seconds", "lr", "n_samples")


def headline(run: Run) -> Html | None:
    """The numbers that one looks for first: those of the test, else of validation, else of training."""
    best, test = run.best, run.test
    names = [name for name in dict.fromkeys([*test, *run.numbers]) if name not in NOT_RESULTS]
    names = sorted(names, key=lambda name: name == "loss")  # it says the least
    cards = []
    for name in names[:MAX_CARDS]:
        sources = (("test", test.get(name)), ("validation", best.get(f"val_{name}")), ("training", best.get(name)))
        known = [(where, value) for where, value in sources if value is not None]
        if known:
            where, value = known[0]
            more = f"validation {number(known[1][1])}" if len(known) > 1 and known[1][0] == "validation" else None
            small = element("small", " · ".join(filter(None, [where, more])))
            cards.append(element("div", element("dt", name), element("dd", number(value), small)))
    return element("dl", *cards, class_="figures") if cards else None


def results(run: Run) -> Html | None:
    """Each number at the best epoch in training and validation, and of each test."""
    best = run.best
    tests = {f"test on {name}" if name else "test": numbers for name, numbers in run.tests.items()}
    names = [
        name
        for name in dict.fromkeys([*run.numbers, *(n for t in tests.values() for n in t)])
        if name not in NOT_RESULTS
    ]
    if not names:
        return None
    head = ["", *(["training", "validation"] if best else []), *tests]
    rows = [
        [
            name,
            *([best.get(name), best.get(f"val_{name}")] if best else []),
            *(test.get(name) for test in tests.values()),
        ]
        for name in names
    ]
    if tests:
        rows.append(["samples", *([None, None] if best else []), *(test.get("n_samples") for test in tests.values())])
    note = f"Training and validation are those of epoch {best['epoch']}." if best else None
    return section("Results", headline(run), table(head, rows), note=note)


def curves(run: Run) -> Html | None:
    """A chart of each number by epoch, in training and validation."""
    from logger.figures import best_epoch

    mark = best_epoch(run.records, run.monitor)
    charts = []
    for name in run.numbers[:MAX_CHARTS]:
        both = [Series("training", values_of(run.records, name)),
                Series("validation", values_of(run.records, f"val_{name}"), 1)]  # fmt: skip
        shown = [one for one in both if any(math.isfinite(y) for _, y in one.points)]
        charts.append(line_chart(name, shown, mark))
    return _charts(charts, f"Dotted: the best epoch, {mark}." if mark is not None else None)


def common_curves(runs: Sequence[Run]) -> Html | None:
    """A chart of each number, with a curve of each run: in validation, where the run has one."""
    charts = []
    for name in list(dict.fromkeys(name for run in runs for name in run.numbers))[:MAX_CHARTS]:
        key, lines = f"val_{name}", []
        are_validated = [any(record.get(key) is not None for record in run.records) for run in runs]
        for i, (run, is_validated) in enumerate(zip(runs, are_validated, strict=True)):
            label = run.label if is_validated == any(are_validated) else f"{run.label}, training"
            lines.append(Series(label, values_of(run.records, key if is_validated else name), i))
        known = [one for one in lines if any(math.isfinite(y) for _, y in one.points)]
        charts.append(line_chart(key if any(are_validated) else name, known))
    return _charts(charts, None)


def _charts(charts: Sequence[Html | None], note: str | None) -> Html | None:
    if not any(charts):
        return None
    notes = [
        element("span", f"{note} ") if note else None,
        "Point at a chart to read it off; click on a name to hide its curve.",
    ]
    return section("Curves", element("div", *charts, class_="grid"), note=join(*notes))


def comparison(runs: Sequence[Run]) -> Html:
    """The results of each run, a column for each, the best of each number bold; then the config keys that differ."""
    from tools.compare import differing_keys, value_at

    modes = {run.monitor.partition(" ")[2]: run.monitor.partition(" ")[0] for run in runs}
    losses = {json.dumps(run.option("loss")) for run in runs}
    modes |= dict.fromkeys(("loss", "val_loss"), "min" if len(losses) == 1 else "of different losses")
    names = [name for name in dict.fromkeys(name for run in runs for name in run.best) if name not in NOT_RESULTS]
    tested = [name for name in dict.fromkeys(name for run in runs for name in run.test) if name not in NOT_RESULTS]
    rows = [["best epoch", *(run.best.get("epoch") for run in runs)]]
    rows += [_row(name, name, [run.best.get(name) for run in runs], modes) for name in names]
    rows += [_row(f"test {name}", name, [run.test.get(name) for run in runs], modes) for name in tested]
    keys = [key for key in differing_keys([run.config for run in runs]) if key != "name"]
    texts = [[key, *(_as_json(value_at(run.config, key)) for run in runs)] for key in keys]
    swatches = [element("i", class_=f"swatch c{i % N_COLORS}") for i in range(len(runs))]
    head = ["", *(join(swatch, run.label) for swatch, run in zip(swatches, runs, strict=True))]
    differ = [element("h3", "What differs in their configs"), table(head, texts)] if texts else []
    same = "" if texts else " Their configs are the same."
    note = f"Bold: the best of a row, where it is known what is better.{same}"
    return section("Side by side", table(head, rows), *differ, note=note)


def _as_json(value: Any) -> str:
    return NONE if value is None else json.dumps(value, ensure_ascii=False)


def _row(title: str, name: str, values: list[Any], modes: dict[str, str]) -> list[Any]:
    """A row of numbers, the best of them bold."""
    best = _best_of(values, name, modes)
    shown = [element("b", number(value)) if value is not None and value == best else number(value) for value in values]
    return [title, *shown]


def _best_of(column: Sequence[Any], name: str, modes: dict[str, str]) -> float | None:
    """The best of some numbers, as the monitors say; None if that is not known."""
    mode = modes.get(name) or modes.get(f"val_{name}") or modes.get(name.removeprefix("val_"))
    known = [value for value in column if value is not None]
    return {"min": min, "max": max}[mode](known) if known and mode in ("min", "max") else None


def pictures(run: Run) -> Html | None:
    """The pictures that test.py drew; the curves are there as charts already."""
    shown = []
    for name, content in sorted(run.pictures.items(), key=lambda item: picture_words(item[0])[2]):  # wide ones last
        title, shows, is_wide = picture_words(name)
        if name.endswith("/curves") and run.records:
            continue
        source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
        caption = element("figcaption", element("b", title), element("span", shows, class_="soft"))
        picture = element("img", src=source, alt=f"{title}: {shows}", loading="lazy")
        shown.append(element("figure", caption, picture, class_="picture wide" if is_wide else "picture"))
    return section("Pictures of the test", element("div", *shown, class_="grid")) if shown else None


def notes(run: Run) -> Html | None:
    """What the run's log says of data, model and steps, its warnings, and what of the folder cannot be read."""
    lines = [element("li", sentence(words), class_="bad" if is_warning else None) for is_warning, words in run.said]
    lines += [element("li", sentence(fault), class_="bad") for fault in run.faults]
    return (
        section("Data and checks", element("ul", *lines, class_="notes"), note="From the run's log.") if lines else None
    )


def config(run: Run) -> Html | None:
    """The whole config, folded."""
    if not run.config:
        return None
    text = json.dumps(run.config, indent=2, ensure_ascii=False)
    return section(
        "Config",
        element("details", element("summary", f"All of config.json, {len(run.config)} keys"), element("pre", text)),
    )


def repeat(run: Run) -> Html:
    """How to repeat it, and on what it ran."""
    known = run.environment
    packages = known.get("packages")
    facts = [("started", known.get("started")), ("device", known.get("device")), ("platform", known.get("platform")),
             ("Python", known.get("python")), ("seed", run.option("seed"))]  # fmt: skip
    facts += sorted(packages.items()) if isinstance(packages, dict) else []
    resumed = known.get("resumed")
    facts += [("resumed", f"{len(resumed)} times")] if isinstance(resumed, list) and resumed else []
    seconds = sum(record.get("seconds") or 0 for record in run.records)
    facts += [("time", duration(seconds))] if run.records else []
    rows = [(name, str(value)) for name, value in facts if value is not None]
    dirty = "The code had changes that its commit lacks." if changes(run) else None
    return section("Repeat it", element("pre", commands(run)), table(("", ""), rows) if rows else None, note=dirty)
