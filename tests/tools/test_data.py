"""The first look at data: the numbers are those of the data, and what is wrong with them is said."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from base import BaseDataLoader, InMemoryDataset
from tests.tools.test_report import EVIL, Page
from tools.data.__main__ import main
from tools.data.checks import checks
from tools.data.part import read_part
from tools.data.sections import features, targets
from utils.errors import UserError, run_command


@pytest.fixture
def look(tmp_path):
    def run(config, *settings):
        output = tmp_path / "data.html"
        argv = ["-c", str(config), "-o", str(output), *(["-s", *settings] if settings else [])]
        assert run_command(main, argv) == 0
        return Page(output.read_text(encoding="utf-8"))

    return run


def part_of(data, target, name="training"):
    return read_part(name, BaseDataLoader(InMemoryDataset(data, target), 4, shuffle=False, training=name == "training"))


def said(*parts, classes=()):
    """What the checks say: (what is well, what is not)."""
    found = checks(parts, [*classes])
    return [" ".join(words for is_well, words in found if is_well == wanted) for wanted in (True, False)]


def test_a_table(look):
    page = look("configs/csv_classification.json")
    table = pd.read_csv("configs/passengers.csv")
    assert (
        "1,000 samples: 720 to train on, 80 for validation, 200 for test." in page.text and "in 2 classes" in page.text
    )
    assert page.cells("age")[:4] == ["number", str(table.age.isna().sum()), f"{table.age.isna().mean():.1%}",
                                     str(table.age.nunique())]  # fmt: skip
    assert page.cells("port")[-1] == table.port.mode()[0]
    of_training = [text for tag, text in page.texts if tag == "td"]
    assert "450" in of_training and "62.5%" in of_training


def test_images_in_folders(look, tmp_path):
    generator = torch.Generator().manual_seed(0)
    for part, n in (("train", 5), ("test", 2)):
        for name in ("cat", "<b>dog"):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for i in range(n):
                pixels = torch.randint(0, 256, (10, 12, 3), dtype=torch.uint8, generator=generator)
                Image.fromarray(pixels.numpy()).save(folder / f"{i}.png")
    same = (tmp_path / "images/train/cat/0.png").read_bytes()
    (tmp_path / "images/test/cat/0.png").write_bytes(same)
    (tmp_path / "images/train/<b>dog/0.png").write_bytes(same)
    page = look("configs/image_folder.json", f"data_loader.args.data_dir={tmp_path / 'images'}",
                "data_loader.args.num_workers=0", "data_loader.args.validation_split=0")  # fmt: skip
    assert "1 of 4 samples of test are in training too" in page.text and "<b>dog" in page.text
    assert "1 of 10 samples to train on are equal to another one" in page.text
    assert "1 samples are there with different targets" in page.text
    assert "12 x 10" in page.text and len(page.images) == 1


def test_images_that_cannot_be_read_are_all_named(tmp_path, capsys):
    for number in range(12):
        path = tmp_path / "images" / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (number, 0, 0)).save(path)
    broken = [tmp_path / "images" / "cat" / name for name in ("0.png", "10.png")]
    for path in broken:
        path.write_bytes(path.read_bytes()[:-30])
    argv = ["-c", "configs/image_folder.json", "-s", f"data_loader.args.data_dir={tmp_path / 'images'}"]
    argv += ["data_loader.args.num_workers=0", f"trainer.save_dir={tmp_path}", "data_loader.args.validation_split=0"]
    assert run_command(main, argv) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path}/images has 2 faults" in said
    assert all(f"  {path} cannot be read as an image: " in said for path in broken)


def test_samples_of_different_lengths_and_several_targets(look):
    assert "in 2 classes" in look("configs/brackets_gru.json", "data_loader.args.n_samples=60").text


def test_what_is_well_is_said():
    generator = torch.Generator().manual_seed(0)
    parts = [
        part_of(torch.rand(60, 3, generator=generator), torch.arange(60) % 2, name) for name in ("training", "test")
    ]
    well, bad = said(*parts)
    assert "no NaN" in well and "no sample is there twice" in well and "similar scales" in well and not bad


def test_what_is_wrong_is_said():
    x = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
    x[:, 1], x[:, 2], x[0, 0] = 7, x[:, 2] * 1e5, torch.nan
    y = torch.tensor([0] * 39 + [1])
    last = part_of(x[:5] + 0, torch.tensor([0, 0, 0, 0, 2]), "test")
    _, bad = said(part_of(x, y), last, classes=["a", "b", EVIL])
    assert "1 numbers of the data in training are NaN" in bad and "1 of 3 features are the same" in bad
    assert "standardize them" in bad and "39.0 times as frequent" in bad
    assert "5 of 5 samples of test are in training too" in bad and f"never trained on: {EVIL}" in bad
    assert "1 samples are there with different targets" in bad


def test_a_shift_between_training_and_test_is_seen():
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    moved = torch.stack([x[:, 0] + 1, x[:, 1]], dim=1)
    assert "the means of 1 features differ" in said(part_of(x, x[:, :1]), part_of(moved, x[:, :1], "test"))[1]


def test_correlations_are_pandas_own():
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    y = x[:, :1] + 0.5 * torch.randn(50, 1, generator=torch.Generator().manual_seed(1))
    page = Page(f"<body>{features(part_of(x, y), ['a', 'b'])}</body>")
    for i, name in enumerate("ab"):
        expected = pd.Series(x[:, i].numpy()).corr(pd.Series(y[:, 0].numpy()))
        assert float(page.cells(name)[0]) == pytest.approx(expected, abs=1e-4)


def bars(values):
    """The rows of the chart of the values to predict: what a bar stands for, and its number."""
    x = torch.arange(len(values)).float().unsqueeze(1)
    page = Page(f"<body>{targets([part_of(x, torch.tensor(values).unsqueeze(1))], [], lambda target: target)}</body>")
    chart = [text for tag, text in page.texts if tag in ("th", "td")]
    return dict(zip(chart[::3], chart[1::3], strict=False))


def test_values_to_predict_have_a_bar_each_or_are_grouped_between_round_numbers():
    assert list(bars([1.5, 3.0, 3.0, 0.25]).items())[:3] == [("0.25", "1"), ("1.5", "1"), ("3", "2")]
    assert list(bars([7.0]).items())[:1] == [("7", "1")]
    grouped = bars([i / 100 for i in range(-50, 151)])
    assert list(grouped.items())[:2] == [("-0.5 to -0.4", "10"), ("-0.4 to -0.3", "10")]
    assert grouped["1.4 to 1.5"] == "11"  # the last one holds its end, too


def test_what_only_rounding_keeps_from_zero_is_zero(look, shared_data):
    page = look("configs/california_housing.json", f"data_loader.args.data_home={shared_data / 'california'}")
    assert page.cells("MedInc")[3] == "0.0000"


def test_bad_input_is_one_line(tmp_path, capsys):
    config = json.loads(Path("configs/csv_classification.json").read_text(encoding="utf-8"))
    config["data_loader"]["args"]["path"] = "nothing.csv"
    (tmp_path / "a.json").write_text(json.dumps(config))
    for argv in (["-c", str(tmp_path / "a.json")], ["-c", str(tmp_path / "none.json")],
                 ["-c", "config.json", "-o", str(tmp_path)]):  # fmt: skip
        assert run_command(main, argv) == 2
        assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(UserError, match="there is no file"):
        main(["-c", str(tmp_path / "a.json")])
