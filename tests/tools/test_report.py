"""The report of a run holds what its folder does, shows text as text, and makes do with what is there."""

import json
from html.parser import HTMLParser

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tools.page import charts
from tools.report.__main__ import main
from utils.errors import UserError, run_command

CONFIG = {"name": "Cats", "seed": 1, "arch": {"type": "MLP"}, "data_loader": {"type": "Pets"}, "loss": "nll_loss",
          "optimizer": {"type": "SGD", "args": {"lr": 0.1}},
          "trainer": {"epochs": 3, "monitor": "min val_loss", "early_stop": 0}}  # fmt: skip
RECORDS = [{"epoch": epoch, "step": epoch * 7, "loss": 1 / epoch, "val_loss": val_loss, "lr": 0.1, "seconds": 50}
           for epoch, val_loss in enumerate((0.9, 0.4, 0.5), 1)]  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n and so on"
EVIL = '"><script>alert(1)</script>'


class Page(HTMLParser):
    """What is in a page: the text of each element, the charts' curves, the images."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.curves, self.images, self.links = [], [], [], {}, [], []
        self.feed(text)
        assert not self.open
        self.text = " ".join("".join(words for _, words in self.texts).split())

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "action") or name.startswith("on")]
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if "data-curves" in named:
            self.curves |= {self.n_charts(): dict(json.loads(named["data-curves"]))}
        if tag == "img":
            self.images.append(named)

    def n_charts(self):
        return len(self.curves)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append((self.open[-1], data))

    def cells(self, row):
        """The cells of the table row that begins with a title."""
        start = next(i for i, (tag, text) in enumerate(self.texts) if tag == "th" and text == row)
        found = []
        for tag, text in self.texts[start + 1 :]:
            if tag not in ("td", "b"):
                break
            found.append(text)
        return found


@pytest.fixture
def make_run(tmp_path):
    def make(run_id="first", config=CONFIG, records=RECORDS, **files):
        run_dir = tmp_path / "Cats" / run_id
        (run_dir / "figures").mkdir(parents=True)
        (run_dir / "config.json").write_text(json.dumps(config))
        (run_dir / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        for name, content in files.items():
            (run_dir / name.replace("__", ".")).write_text(content)
        return run_dir

    return make


@pytest.fixture
def report(tmp_path):
    def run(*paths):
        assert run_command(main, [*map(str, paths), "-o", str(tmp_path / "report.html")]) == 0
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    return run


def test_a_run_that_was_trained_and_tested(train, evaluate, report, example, offline):
    run_dir = train(example, "trainer.epochs=2", *offline)
    results = evaluate(run_dir)
    page = report(run_dir)
    records = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert page.curves[0]["training"] == [[record["epoch"], record["loss"]] for record in records]
    assert page.cells("loss")[-1] == f"{results['loss']:.4f}"
    assert f"Report of the run {run_dir.name}" in page.text and "It went through all 2 epochs" in page.text
    assert "Data:" in page.text and f"test.py -r {run_dir.resolve()}" in page.text


def test_numbers_of_the_best_epoch_and_what_is_planned(report, make_run):
    page = report(make_run(test_metrics__json='{"loss": 0.7, "n_samples": 5}'))
    assert "Epoch 2 has the lowest val_loss, 0.4000." in page.text and "21 steps in 2 min 30 s" in page.text
    assert page.cells("loss") == ["0.5000", "0.4000", "0.7000"] and page.cells("samples")[-1] == "5"
    assert page.curves[0] == {"training": [[1, 1], [2, 0.5], [3, 1 / 3]], "validation": [[1, 0.9], [2, 0.4], [3, 0.5]]}


def test_several_runs_are_told_apart_and_their_configs_compared(report, make_run, tmp_path):
    first = make_run()
    quick = CONFIG | {"optimizer": {"type": "SGD", "args": {"lr": 0.3}}}
    second = make_run("quick", quick, [record | {"val_loss": 0.3} for record in RECORDS])
    page = report(first, second)
    assert page.cells("optimizer.args.lr") == ["0.1", "0.3"] and page.cells("val_loss") == ["0.4000", "0.3000"]
    assert ("b", "0.3000") in page.texts and ("b", "0.4000") not in page.texts[: page.texts.index(("b", "0.3000"))]
    assert page.curves[0] == {"first": [[1, 0.9], [2, 0.4], [3, 0.5]], "quick": [[1, 0.3], [2, 0.3], [3, 0.3]]}
    assert "trainer.epochs" not in [text for tag, text in page.texts if tag == "th"]
    other = tmp_path / "Dogs" / "first"
    other.parent.mkdir()
    first.rename(other)
    make_run()
    assert {"Cats/first", "Dogs/first"} <= set(report(tmp_path / "Cats/first", other).curves[0])


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
@example(99_971.0, 25.0)
@example(500_000.0, 60.0)
def test_the_ticks_of_an_axis_are_told_apart(low, span):
    ticks = charts._nice_ticks(low, low + span, 5)
    assume(span > 1e-4 * abs(low))  # else a label had to be longer than the room for it
    labels = [charts._label(tick) for tick in ticks]
    assert len(set(labels)) == len(ticks) >= 2
    assert [float(label) for label in labels] == pytest.approx(ticks, rel=1e-5, abs=1e-3 * span)


def test_what_a_strangers_files_say_is_text(report, make_run):
    run_dir = make_run(
        EVIL.replace("/", "\\"),
        CONFIG | {"name": EVIL, "arch": {"type": EVIL}, EVIL: EVIL, "trainer": {"monitor": f"min {EVIL}"}},
        [record | {EVIL: 0.5} for record in RECORDS],
        environment__json=json.dumps({"command": [EVIL], "device": EVIL, "packages": {EVIL: EVIL}, "git_commit": EVIL}),
        train__log=f"2026-11-29 08:05:25,338 WARNING Data: {EVIL}\n",
        test_metrics__json=json.dumps({EVIL: 1}),
    )
    (run_dir / "figures" / f"{EVIL.replace('/', '')}.png").write_bytes(PNG)
    page = report(run_dir)
    assert page.tags.count("script") == 1 and EVIL in page.text
    assert len(page.links) == 1 and page.links[0].startswith("data:image/png;base64,")


def test_pictures_are_in_the_page_with_words_for_those_who_do_not_see_them(report, make_run, tmp_path):
    run_dir = make_run()
    (tmp_path / "secret.png").write_bytes(PNG)
    for name in ("confusion_matrix", "digit_most_wrong", "own"):
        (run_dir / "figures" / f"{name}.png").write_bytes(PNG)
    (run_dir / "figures" / "link.png").symlink_to(tmp_path / "secret.png")
    (run_dir / "figures" / "words.png").write_text("no picture")
    images = report(run_dir).images
    assert sorted(image["alt"].partition(":")[0] for image in images) == [
        "Confusions", "Most wrong samples, output digit", "own"]  # fmt: skip


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"metrics__jsonl": ""}, "No epoch was finished"),
        ({"metrics__jsonl": '{"epoch": 1, "loss": null, "step": 1, "seconds": 1}\n{"ep'}, "1 damaged line of metrics"),
        ({"metrics__jsonl": '{"epoch": 1, "loss": 1' + "0" * 400 + "}\n"}, "went through 1 of 3 epochs"),
        ({"config__json": "{"}, "A run whose config is not there. It went through all 3 epochs"),
        ({"config__json": "[" * 100_000}, "Config.json is damaged."),
        ({"config__json": '{"trainer": 3, "arch": [], "loss": {}}'}, "went through all 3 epochs"),
        ({"environment__json": '{"command": 3, "packages": [], "resumed": {}, "git_commit": 4}'}, "Repeat it"),
        ({"test_metrics__json": '{"loss": NaN, "accuracy": "high"}'}, "It was not tested yet."),
        ({"train__log": "\0\n\udcff" * 9}, "It was not tested yet."),
    ],
)  # fmt: skip
def test_a_damaged_or_unfinished_run_is_shown_as_far_as_it_goes(report, make_run, files, expected):
    run_dir = make_run()
    for name, content in files.items():
        (run_dir / name.replace("__", ".")).write_bytes(content.encode(errors="surrogateescape"))
    assert expected in report(run_dir).text


def test_what_is_no_run_is_refused_in_one_line(tmp_path, make_run):
    run_dir = make_run()
    for argv, expected in (
        ([tmp_path / "nothing"], "no such folder"),
        ([run_dir.parent], f"did you mean {run_dir}?"),
        ([run_dir / "figures"], "is no run's folder"),
        ([run_dir, "-o", tmp_path / "no" / "a.html"], "-o"),
    ):
        with pytest.raises(UserError) as error:
            main([str(argument) for argument in argv])
        assert expected in str(error.value) and "\n" not in str(error.value)
    main([str(run_dir / "model_best.pth")])
    assert (run_dir / "report.html").is_file()
