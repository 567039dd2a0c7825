import importlib.util
import json

import numpy as np
import pandas as pd
import pytest
import torch

from data_loader.csv_file import CsvDataLoader
from tools.make_table import make_table
from utils.data import split_indices
from utils.errors import run_command


@pytest.fixture
def write(tmp_path):
    """`write(table)`: the path of a CSV file with it."""

    def write(table):
        path = tmp_path / "table.csv"
        table.to_csv(path, index=False)
        return path

    return write


def whole(loader):
    """All of a loader's samples: data, target."""
    return tuple(torch.cat(parts) for parts in zip(*loader, strict=True))


def numbered(n_rows=200, **columns):
    """A table whose rows can be told apart: `row` is their number, y alternates."""
    return pd.DataFrame({"row": np.arange(n_rows), **columns, "y": np.arange(n_rows) % 2})


# ------------------------------------------------------------------------------------------------------- the parts


def test_a_batch_is_float32_features_and_class_numbers(write):
    data, target = next(iter(CsvDataLoader(write(make_table()), "survived", batch_size=7)))
    assert (data.shape, data.dtype) == ((7, 13), torch.float32)
    assert (target.shape, target.dtype) == ((7,), torch.int64)
    assert data.isfinite().all()


def test_a_regression_target_is_a_column_of_float32(write):
    table = make_table()
    path = write(table)
    loaders = [CsvDataLoader(path, "fare", 64, task="regression", training=training) for training in (True, False)]
    train, test = [whole(loader)[1] for loader in loaders]
    assert abs(train.mean()) < 1e-5 and abs(train.std(correction=0) - 1) < 1e-5
    fitted = CsvDataLoader(path, "fare", 64, task="regression", training=False, fitted=loaders[0].fitted)
    assert torch.equal(whole(fitted)[1], test)
    targets = fitted.in_original_units(torch.cat([train, test]))
    assert (targets.shape, targets.dtype) == ((1000, 1), torch.float32)
    torch.testing.assert_close(targets.sort(dim=0).values.squeeze(), torch.tensor(np.sort(table["fare"])).float())


def test_the_three_parts_are_disjoint_complete_and_the_same_whatever_the_seed(write):
    path = write(numbered())

    def parts(seed):
        torch.manual_seed(seed)
        loader = CsvDataLoader(path, "y", 16, ["row"], validation_split=0.25, stratify=True)
        test = CsvDataLoader(path, "y", 16, ["row"], validation_split=0.25, stratify=True, training=False)
        return [whole(part) for part in (loader, loader.split_validation(), test)]

    first, again = parts(seed=1), parts(seed=2)
    assert [len(target) for _, target in first] == [120, 40, 40]
    assert [target.sum() for _, target in first] == [60, 20, 20]
    assert len(torch.cat([data for data, _ in first]).unique()) == 200
    for (data, _), (same_data, _) in zip(first, again, strict=True):
        assert torch.equal(data.sort(dim=0).values, same_data.sort(dim=0).values)


@pytest.mark.parametrize(("split", "stratify"), [(0.25, False), (0.25, True), ("2/4", False), ("2/4", True)])
def test_only_the_rows_trained_on_decide_the_scale_and_the_filling(write, split, stratify):
    rng = np.random.default_rng(0)
    table = numbered(300, x=rng.normal(5, 2, 300))
    table.loc[rng.random(300) < 0.2, "x"] = np.nan
    labels = torch.tensor(table["y"].to_numpy())
    train, test = split_indices(torch.arange(300), 0.2, labels)
    trained_on, valid = split_indices(train, split, labels if stratify else None, seed=1)
    elsewhere = torch.cat([valid, test]).numpy()
    table.loc[elsewhere, "x"] = np.where(table.loc[elsewhere, "x"].isna(), np.nan, 1e6)  # would ruin any mean

    options = {"batch_size": 50, "features": ["x"], "validation_split": split, "stratify": stratify}
    options["split_seed"] = 1
    loader = CsvDataLoader(write(table), "y", **options)
    valid_loader = loader.split_validation()
    data, _ = whole(loader)
    assert abs(data.mean()) < 1e-5 and abs(data.std(correction=0) - 1) < 1e-5

    x = table.loc[trained_on.numpy(), "x"]
    filled = x.fillna(x.median())
    expected = torch.tensor(np.sort((filled - filled.mean()) / filled.std(ddof=0))).float()
    torch.testing.assert_close(data.squeeze().sort().values, expected)
    filler = (x.median() - filled.mean()) / filled.std(ddof=0)
    for part in (valid_loader, CsvDataLoader(write(table), "y", training=False, **options)):
        values = whole(part)[0]
        assert values.max() > 1e4
        assert values.min() == pytest.approx(filler, abs=1e-6)
        assert len(values.unique()) == 2


# ------------------------------------------------------------------------------------------------------ the columns


def test_columns_of_every_kind(write):
    table = numbered(
        8,
        number=[1.0, 2.0, 3.0, np.nan] * 2,
        color=["red", "blue", None, "red"] * 2,
        flag=[True, False, None, True] * 2,
        switch=[True, False] * 4,
        ticket=[f"T{i}" for i in range(8)],
    ).drop(columns="row")
    loader = CsvDataLoader(write(table), "y", 8, test_size=0.25, shuffle=False)
    assert loader.feature_names[0] == "number"
    assert {"color_blue", "color_red", "flag_False", "flag_True", "switch_False", "switch_True"} < {
        *loader.feature_names
    }
    assert not [name for name in loader.feature_names if name.startswith("ticket")]  # nothing to be learnt from that
    data, _ = whole(loader)
    of_color = [loader.feature_names.index(name) for name in ("color_blue", "color_red")]
    assert torch.equal(data[:, of_color].sum(dim=1), torch.ones(6))  # a gap became the most frequent one


def test_features_are_those_that_are_named_and_in_no_case_the_target(write):
    path = write(make_table())
    named = CsvDataLoader(path, "survived", 32, features=["fare", "age"])
    assert sorted(named.feature_names) == ["age", "fare"]
    every = CsvDataLoader(path, "survived", 32)
    assert not [name for name in every.feature_names if name.startswith("survived")]


def test_a_category_that_training_never_saw_is_no_known_one(write):
    colors = np.array(["red", "blue"])[np.arange(100) // 2 % 2].astype(object)
    test = split_indices(torch.arange(100), 0.2, torch.arange(100) % 2)[1].numpy()
    colors[test] = "green"
    loader = CsvDataLoader(write(numbered(100, color=colors)), "y", 32, ["color"], training=False)
    assert loader.feature_names == ["color_blue", "color_red"]
    assert torch.equal(whole(loader)[0], torch.zeros(20, 2))


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["no", "yes"], ["no", "yes"]),
        ([30, 4], ["4", "30"]),
        ([True, False], ["False", "True"]),
        ([1.5, -2.0], ["-2.0", "1.5"]),
    ],
)
def test_classes_of_any_type_are_numbered_in_their_order(write, labels, classes):
    table = numbered(40)
    table["y"] = [labels[i % 2] for i in range(40)]
    loader = CsvDataLoader(write(table), "y", 40, ["row"], shuffle=False)
    assert loader.classes == classes
    data, target = whole(loader)
    right = sorted(labels).index(labels[0])
    assert target.tolist().count(right) == 16
    by_row = [number for _, number in sorted(zip(data[:, 0].tolist(), target.tolist(), strict=True))]
    numbers = (torch.arange(40) + right) % 2  # of row 0, 1, ...
    assert by_row == numbers[split_indices(torch.arange(40), 0.2, numbers)[0]].tolist()


# -------------------------------------------------------------------------------------------------------- bad input


CONFIG = {
    "name": "Csv",
    "n_gpu": 0,
    "arch": {"type": "MLP", "args": {}},
    "data_loader": {"type": "CsvDataLoader", "args": {"task": "classification", "test_size": 0.2, "batch_size": 32}},
    "optimizer": {"type": "SGD", "args": {"lr": 0.1}},
    "loss": "cross_entropy",
    "trainer": {"epochs": 1},
}


@pytest.fixture
def refuse(capsys, tmp_path):
    """`refuse(path, target="y")`: what train.py says of a table that it cannot use; the exit code must be 2."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    spec = importlib.util.spec_from_file_location("train_script", "train.py")
    train = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train)

    def run(path, **arguments):
        settings = {"path": str(path), "target": "y", "stratify": False, **arguments}
        sizes = settings.pop("sizes", ["auto", "auto"])
        settings = [f"data_loader.args.{key}={json.dumps(value)}" for key, value in settings.items()]
        settings.append(f"arch.args.sizes={json.dumps(sizes)}")
        assert run_command(train.main, ["-c", str(config), "--check", "-s", *settings]) == 2
        return capsys.readouterr().err

    return run


def test_no_such_file(refuse, write):
    path = write(numbered())
    message = refuse(path.with_name("tabel.csv"))
    assert message.startswith("error: data_loader: path: there is no file") and "did you mean 'table.csv'?" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a CSV file: No columns"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", "not UTF-8 text"),
        ("이름,나이\n철수,3\n영희,4\n".encode("cp949"), "is not UTF-8 text; save it so, in Excel as 'CSV UTF-8'"),
        (b"row,x,y\n", "no row below its header"),
        (b"row;x;y\n1;2;0\n2;3;1\n", "is the separator ';'?"),
        (b"x,y\n1,2,0\n2,3,1\n", "not a CSV file: Length of header"),
        (b"x,y\n1,0\n2,3,1\n", "Expected 2 fields in line 3, saw 3"),
    ],
)
def test_not_a_csv(refuse, tmp_path, content, words):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    assert words in refuse(path)


def test_a_column_that_is_not_there(refuse, write):
    path = write(numbered(color="red").rename(columns={"y": "survived"}))
    assert "target: there is no column 'surived', did you mean 'survived'?; there are row" in refuse(
        path, target="surived"
    )
    message = refuse(path, target="survived", features=["row", "colour"])
    assert "features: there is no column 'colour', did you mean 'color'?" in message


def test_the_target_is_no_feature_and_no_feature_stands_twice(refuse, write):
    path = write(numbered())
    assert "'y' is the target" in refuse(path, features=["row", "y"])
    assert "each once" in refuse(path, features=["row", "row"])
    assert "at least one column" in refuse(path, features=[])


def test_targets_that_nothing_can_be_learnt_from(refuse, write):
    table = numbered()
    assert "one class only, '1'" in refuse(write(table.assign(y=1)))
    assert 'say "task": "regression"' in refuse(write(table.assign(y=table["row"] / 7)))
    assert "'y' is missing in all rows" in refuse(write(table.assign(y=np.nan)))
    words = table.assign(y=["1"] * 4 + ["12 EUR"] + ["3"] * 195)
    assert "'y' is '12 EUR' in row 5" in refuse(write(words), task="regression")
    assert "'y' is 'inf' in row 1" in refuse(write(table.assign(y=[np.inf] + [1.0] * 199)), task="regression")


def test_rows_without_a_target_are_left_out_and_so_are_their_texts(write, caplog):
    table = numbered(200, color=["red", "blue", "green", "red"] * 50)
    path = write(table.assign(y=[0, 1, None, 1] * 50))
    loader = CsvDataLoader(path, "y", 8, ["color"])
    assert "50 of 200 rows have no y, and are left out" in caplog.text
    assert loader.feature_names == ["color_blue", "color_red"] and loader.classes == ["0", "1"]
    data, target = whole(loader)
    assert len(target) == 120 and torch.equal(data[:, 0], (target == 1).float() * data[:, 0])
    assert len(CsvDataLoader(path, "y", 8, task="regression", training=False).samples) == 30


def test_the_only_row_of_a_class_is_trained_on(write, caplog):
    path = write(numbered().assign(y=["odd"] + ["a", "b"] * 99 + ["a"]))
    loaders = [CsvDataLoader(path, "y", 8, ["row"], training=training) for training in (True, False)]
    train, test = (whole(loader)[1].bincount(minlength=3).tolist() for loader in loaders)
    assert train == [80, 80, 1] and test == [20, 19, 0]
    assert "none to test: odd" in caplog.text


def test_features_that_nothing_can_be_learnt_from(refuse, write):
    table = numbered(empty=np.nan, same=1.5)
    message = refuse(write(table))
    assert "nothing can be learnt from any column: row numbers the rows, empty has no value in any row" in message
    assert "same is the same in each row to train on" in message
    assert "infinite values in row" in refuse(write(table.assign(row=[np.inf, -np.inf] * 100)), features=["row"])


def test_a_test_share_out_of_range(refuse, write):
    for share in (0, 1, 1.5, -0.1):
        assert f"test_size: {share} is not a share" in refuse(write(numbered()), test_size=share)


def test_a_regression_cannot_be_stratified(refuse, write):
    assert "a regression has no classes" in refuse(write(numbered()), task="regression", stratify=True)


def test_the_separator_can_be_another(write, tmp_path):
    path = tmp_path / "european.csv"
    numbered().to_csv(path, sep=";", index=False)
    assert CsvDataLoader(path, "y", 8, ["row"], separator=";").feature_names == ["row"]


def test_a_wrong_first_size_is_answered_with_the_right_one(refuse, write):
    message = refuse(write(numbered()), features=["row"], sizes=[14, 32, 2])
    assert message == "error: arch.args.sizes: a sample has 1 numbers, so say [1, 32, 2], not [14, 32, 2]\n"
