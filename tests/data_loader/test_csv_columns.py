"""Columns that are not what they seem."""

import numpy as np
import pandas as pd
import pytest
import torch

from data_loader.csv_file import CsvDataLoader
from data_loader.table import reading

N = 60


@pytest.fixture
def load(tmp_path):
    """`load(options, column=values, ...)`: a loader of these columns, x, and two classes y."""

    def load(options=None, **columns):
        rng = np.random.default_rng(0)
        table = pd.DataFrame({"x": rng.normal(size=N), **columns, "y": np.arange(N) % 2})
        table.to_csv(load.path, index=False)
        return CsvDataLoader(load.path, "y", N, shuffle=False, **options or {})

    load.path = tmp_path / "table.csv"
    return load


NUMBERS = [str(i % 20) for i in range(N)]
ODD = {
    "a question mark": (["?", *NUMBERS[1:]], r"holds numbers, .* if '\?' \(first in row 1\) is a gap, name it in na_"),
    "a word": ([*NUMBERS[:30], "none yet", *NUMBERS[31:]], r"if 'none yet' \(first in row 31\) is a gap"),
    "a decimal comma": ([f"{i % 7},5" for i in range(N)], 'for a decimal comma, as in \'0,5\', say "decimal": ","'),
    "both": (
        ["-", *(f"{i % 7},5" for i in range(1, N))],
        "decimal comma, as in '1,5'.*if '-' .first in row 1. is a gap",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_numbers_that_cannot_be_read_are_named_with_the_option(load, name):
    values, words = ODD[name]
    with pytest.raises(ValueError, match=f"features: 'odd' {words}" if "holds" in words else f"'odd' .*{words}"):
        load(odd=values)
    options = {"decimal": "," if "," in values[5] else ".", "na_values": ["?", "none yet", "-"]}
    loader = load(options | {"features": ["odd"]}, odd=values)
    assert loader.feature_names == ["odd"]
    assert loader.fitted["columns"]["odd"]["kind"] == "number"
    assert load({"categories": ["odd"]}, odd=values).fitted["columns"]["odd"]["kind"] == "category"


def test_codes_are_categories_where_they_are_said_to_be(load):
    postcodes = [f"{i % 3 + 1:05}" for i in range(N)]
    assert load(postcode=postcodes).feature_names == ["x", "postcode"]
    loader = load({"categories": ["postcode"]}, postcode=postcodes)
    assert loader.feature_names == ["x", *(f"postcode_0000{i}" for i in (1, 2, 3))]


def test_ids_texts_and_constants_are_left_out_and_said(load, caplog):
    with caplog.at_level("INFO"):
        loader = load(
            row=range(100, 100 + N),
            user_id=np.random.default_rng(0).permutation(10 * N)[:N],
            uuid=[f"{i:032x}" for i in range(N)],
            comment=[f"it was {i % 50}" for i in range(N)],
            version=3,
            unit="kg",
            empty=None,
            weight=np.random.default_rng(0).permutation(N),
        )
    assert loader.feature_names == ["x", "weight"]
    for words in ("row numbers the rows", "user_id is another number in each row", "uuid has 60 different texts in 60",
                  "comment has 50 different texts in 60 rows, such as 'it was 0'", "version is the same in each row",
                  "unit is the same in each row", "empty has no value in any row"):  # fmt: skip
        assert words in caplog.text


def test_an_id_that_is_asked_for_is_a_feature(load):
    assert load({"features": ["day", "x"]}, day=range(N)).feature_names == ["day", "x"]


@pytest.mark.parametrize(
    "format", ["%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y-%m-%dT%H:%M:%S", "%d/%m/%Y %H:%M"]
)
def test_dates_become_numbers(load, format):
    days = pd.Series(pd.date_range("2023-11-05 07:00", periods=N, freq="31h"))
    written = days.dt.strftime(format)
    written[3] = None
    loader = load({"test_size": 0.1}, day=written)
    parts = ["year", "month", "day", "weekday", *(["hour"] if "%H" in format else [])]
    assert loader.feature_names == ["x", *(f"day_{part}" for part in parts)]
    inputs, _, problems, _ = CsvDataLoader.read_inputs(loader.fitted, load.path)
    of_day = loader.fitted["columns"]["day"]["parts"]["day"]
    inputs = inputs[:, 3] * of_day["std"] + of_day["mean"]
    expected = days.dt.day.astype(float)
    expected[3] = of_day["median"]
    torch.testing.assert_close(inputs, torch.tensor(expected.to_numpy()).float())
    assert problems == []


def test_dates_that_can_be_read_in_two_ways_are_left_out(load, caplog):
    with caplog.at_level("INFO"):
        loader = load(day=[f"{i % 9 + 1:02}/{i % 7 + 1:02}/2024" for i in range(N)])
    assert loader.feature_names == ["x"]
    assert "day has dates that can be read as day/month or month/day; write 2024-12-31" in caplog.text


def test_of_many_categories_the_rare_ones_share_a_feature(load):
    words = [f"c{i}" for i in [0, 1] * 25] + [f"rare{i}" for i in range(10)]
    loader = load({"test_size": 0.1}, word=words)
    assert loader.feature_names == ["x", "word_c0", "word_c1", "word_other"]


@pytest.mark.parametrize(
    ("decimal", "write", "odd"),
    [
        (".", "${:,.2f}", "$12,5"),
        (".", "{:.1f} %", "12 % or so"),
        (".", "{:.2f}€", "€"),
        (",", "{:.2f} €", "1,5,5 €"),
    ],
)
def test_a_sign_of_money_or_percent_is_no_part_of_a_number(load, decimal, write, odd, caplog):
    values = np.random.default_rng(0).integers(-9999, 9_999_999, N) / 100
    texts = [write.format(value).replace("$-", "-$") for value in values]
    if decimal == ",":
        texts = [f"{value:,.2f} €".translate({ord(","): ".", ord("."): ","}) for value in values]
    digits = 1 if "1f" in write else 2
    loader = load({"decimal": decimal, "features": ["money"], "test_size": 0.1}, money=texts)
    learnt = loader.fitted["columns"]["money"]
    assert learnt["kind"] == "number"
    inputs, _, problems, _ = CsvDataLoader.read_inputs(loader.fitted, load.path, decimal=decimal)
    found = inputs[:, 0].double().numpy() * learnt["std"] + learnt["mean"]
    np.testing.assert_allclose(found, values.round(digits), atol=0.06, rtol=1e-5)  # scaled, it is float32
    assert problems == []
    with pytest.raises(ValueError, match="holds numbers, but not all can be read"):
        load({"decimal": decimal}, money=[odd, *texts[1:]])


def test_a_number_far_from_all_others_is_named(load, caplog):
    values = np.random.default_rng(0).normal(size=600)
    table = pd.DataFrame({"far": values, "near": values, "y": np.arange(600) % 2})
    table.loc[3, "far"] = 999999
    table.to_csv(load.path, index=False)
    CsvDataLoader(load.path, "y", N)
    assert "far holds 999999, " in caplog.text and "near holds" not in caplog.text


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_of_many_columns_those_that_tell_most_are_used(tmp_path, task, caplog):
    rng = np.random.default_rng(0)
    columns = {f"noise{i}": rng.normal(size=200) for i in range(30)}
    columns |= {"number": rng.normal(size=200), "word": rng.choice(["a", "b", "c"], 200)}
    value = columns["number"] + 2 * (columns["word"] == "b") + 0.1 * rng.normal(size=200)
    table = pd.DataFrame(columns).assign(y=value if task == "regression" else value > 1)
    path = tmp_path / "table.csv"
    table.to_csv(path, index=False)
    with caplog.at_level("INFO"):
        loader = CsvDataLoader(path, "y", 16, task=task, max_columns=2, validation_split=0.2)
    assert loader.feature_names == ["number", "word_a", "word_b", "word_c"]
    assert "Of 32 columns, the 2 that tell most about the target are used" in caplog.text
    test_part = CsvDataLoader(path, "y", 16, task=task, max_columns=2, training=False, fitted=loader.fitted)
    assert next(iter(test_part))[0].shape == (16, 4)
    assert len(CsvDataLoader(path, "y", 16, task=task, max_columns=32).feature_names) == 34


def test_a_group_is_never_parted_and_no_feature(load):
    groups = [f"p{i % 12}" for i in range(N)]
    seen = {}
    for part in ("train", "valid", "test"):
        options = {"groups": "patient", "validation_split": 0.25, "training": part != "test"}
        loader = load(options, patient=groups, number=[i % 12 for i in range(N)])
        loader = loader.split_validation() if part == "valid" else loader
        scale = loader.fitted["columns"]["number"]
        data = torch.cat([data for data, _ in loader])[:, 1] * scale["std"] + scale["mean"]
        seen[part] = set(data.round().int().tolist())
        assert "patient" not in loader.fitted["columns"]
    assert sorted(number for part in seen.values() for number in part) == list(range(12))
    with pytest.raises(ValueError, match="groups: 'patient' is missing in 1 of 60 rows, first in row 2"):
        load({"groups": "patient"}, patient=["a", None, *groups[2:]])


def test_where_a_column_stops_holding_numbers_does_not_matter(load, monkeypatch):
    columns = {
        "late": [*range(40), *["many"] * 20],  # numbers at first
        "flag": [True] * 30 + [None] * 10 + [False] * 20,
        "gaps": [None] * 20 + [1.5] * 20 + [2.0] * 20,
        "word": ["a", "b", "c"] * 20,
    }
    options = {"categories": ["late"], "test_size": 0.5}
    whole = load(options, **columns)
    monkeypatch.setattr(reading, "N_LOOKED_AT", 10)
    seen_late = load(options, **columns)
    assert seen_late.fitted == whole.fitted
    for first, second in zip(whole, seen_late, strict=True):
        assert torch.equal(first[0], second[0])
