"""What a table's training has learnt is used ever after, and nothing else is let in."""

import copy
import io
import json

import numpy as np
import pandas as pd
import pytest
import torch

from data_loader.csv_file import CsvDataLoader
from tools.make_table import make_table
from utils.checkpoint import load_checkpoint


def write(table, path):
    table.to_csv(path, index=False)
    return path


def whole(loader):
    """All of a loader's samples: data, target."""
    return tuple(torch.cat(parts) for parts in zip(*loader, strict=True))


@pytest.fixture
def path(tmp_path):
    return write(make_table(), tmp_path / "table.csv")


@pytest.fixture
def fitted(path):
    return CsvDataLoader(path, "survived", 50).fitted


def test_another_table_is_read_whole_as_the_training_was(path, fitted, tmp_path):
    first, again = (CsvDataLoader(path, "survived", 50, training=False, fitted=known) for known in (None, fitted))
    assert torch.equal(whole(first)[0], whole(again)[0])

    rows = pd.read_csv(path).head(3)
    other = rows.assign(age=rows["age"] * 100, extra=1)[[*reversed(rows.columns), "extra"]]
    data, target = whole(CsvDataLoader(write(other, tmp_path / "other.csv"), "survived", 3, training=False,
                                       fitted=fitted, whole=True))  # fmt: skip
    assert target.tolist() == [["no", "yes"].index(word) for word in rows["survived"]]  # one class only is fine, too
    expected, names, problems, notes = CsvDataLoader.read_inputs(fitted, path)
    assert (len(expected), names[:2], problems, notes) == (1000, ["1", "2"], [], {})
    age = fitted["columns"]["age"]
    assert torch.equal(data[:, 1:], expected[:3, 1:])
    ages = (other["age"].fillna(age["median"]) - age["mean"]) / age["std"]
    torch.testing.assert_close(data[:, 0], torch.tensor(ages.to_numpy()).float())


def test_a_class_or_a_column_that_training_did_not_have_is_refused(path, fitted, tmp_path):
    options = {"batch_size": 50, "training": False, "fitted": fitted, "whole": True}
    table = pd.read_csv(path)
    other = tmp_path / "other.csv"
    with pytest.raises(ValueError, match="columns of the training: there is no column 'age', did you mean 'Age'"):
        CsvDataLoader(write(table.rename(columns={"age": "Age"}), other), "survived", **options)
    with pytest.raises(ValueError, match="'maybe' in row 1, which is no class of the training; those are no, yes"):
        CsvDataLoader(write(table.assign(survived="maybe"), other), "survived", **options)
    with pytest.raises(ValueError, match="not like the table of the training: 'age': 'old' in row 1 is no number, nor"):
        CsvDataLoader(write(table.assign(age="old"), other), "survived", **options)


def test_a_category_that_training_did_not_have_is_named(path, fitted, tmp_path, caplog):
    other = write(pd.read_csv(path).head(5).assign(port="Mokpo"), tmp_path / "other.csv")
    CsvDataLoader(other, "survived", 50, training=False, fitted=fitted, whole=True)
    assert "'port': 'Mokpo' in row 1 is no category that training knows, nor are those of 4 other rows" in caplog.text


def test_a_table_that_grew_is_tested_with_a_warning(path, fitted, tmp_path, caplog):
    table = pd.read_csv(path)
    CsvDataLoader(write(pd.concat([table, table]), path), "survived", 50, training=False, fitted=fitted)
    assert "has 2000 rows, and had 1000 in the training: the test part is another one now" in caplog.text


def test_inputs_need_no_target_and_one_row_is_enough(fitted):
    text = "age,sex,cabin,port,relatives,alone,fare\n?,female,first,Mokpo,0,True,10\n"
    data, names, [of_age, of_port], notes = CsvDataLoader.read_inputs(fitted, io.StringIO(text), batch_size=1)
    assert (data.shape, names) == ((1, 13), ["1"])
    assert data.isfinite().all()
    assert of_age == "'age': '?' in row 1 is no number"
    assert of_port == "'port': 'Mokpo' in row 1 is no category that training knows"
    assert notes == {0: "'age': '?' is no number; 'port': 'Mokpo' is no category that training knows"}
    with pytest.raises(ValueError, match="there is no column 'fare'"):
        CsvDataLoader.read_inputs(fitted, io.StringIO(text.replace("fare", "fee")))


def test_metrics_and_predictions_of_a_regression_are_in_original_units(train, evaluate, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    table = pd.DataFrame({"x": x, "z": rng.normal(size=300), "price": 3000 + 500 * x})
    arguments = {"path": write(table, tmp_path / "table.csv"), "target": "price", "features": "null"}
    settings = [f"data_loader.args.{key}={value}" for key, value in arguments.items()]
    run_dir = train("configs/csv_regression.json", *settings, "trainer.tensorboard=false", "trainer.epochs=30")
    results = evaluate(run_dir)
    assert results["r2_score"] > 0.95 and results["loss"] < 0.1
    predicted = pd.read_csv(run_dir / "predictions.csv")
    assert abs(predicted["prediction"] - predicted["target"]).mean() < 100
    assert predicted["target"].between(1000, 5000).all()

    other = write(table.assign(price=table["price"] + 1000), tmp_path / "other.csv")
    assert evaluate(run_dir, f"data_loader.args.path={other}") == results  # that file is not touched
    results = json.loads((run_dir / "test_metrics-other.json").read_text())
    assert results["n_samples"] == 300
    assert results["r2_score"] == pytest.approx(1 - 1000**2 / table["price"].var(), abs=0.5)


def test_a_checkpoint_that_is_older_than_the_scaling_keeps_its_units(path):
    loader = CsvDataLoader(path, "fare", 50, task="regression", fitted={})
    values = torch.rand(3, 1)
    assert torch.equal(loader.in_original_units(values), values)
    assert whole(loader)[1].max() > 50


FAULTS = {
    "no columns": ("columns", {}),
    "columns that are a list": ("columns", ["age"]),
    "a column that is a number": ("columns.age", 1),
    "a column of another kind": ("columns.age.kind", ["number"]),
    "a scale that is text": ("columns.age.mean", "1"),
    "a scale of zero": ("columns.age.std", 0),
    "a median that is NaN": ("columns.age.median", float("nan")),
    "too many categories": ("columns.port.categories", [str(i) for i in range(10**6)]),
    "a category that is no text": ("columns.port.categories", ["Busan", 1]),
    "a filler that is no category": ("columns.port.most_frequent", "Mokpo"),
    "an unknown date": ("columns.age", {"kind": "date", "format": "%f" * 10**6, "parts": {}}),
    "classes that are numbers": ("target.classes", [0, 1]),
    "another task": ("target", {"mean": 0.0, "std": 1.0}),
    "a tensor": ("n_rows", torch.ones(1)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_have_been_learnt_is_refused(path, fitted, name):
    place, value = FAULTS[name]
    fitted = copy.deepcopy(fitted)
    *parents, last = place.split(".")
    inner = fitted
    for key in parents:
        inner = inner[key]
    inner[last] = value
    with pytest.raises(ValueError, match="damaged, or of another task"):
        CsvDataLoader(path, "survived", 50, training=False, fitted=fitted)


def test_a_damaged_checkpoint_is_refused_in_one_line(train, refused):
    run_dir = train("configs/csv_classification.json", "trainer.epochs=1", "trainer.tensorboard=false")
    checkpoint = load_checkpoint(run_dir / "model_best.pth")
    checkpoint["data"]["fitted"]["columns"]["age"] = {"kind": "number"}
    torch.save(checkpoint, run_dir / "model_best.pth")
    assert "data_loader: what the checkpoint holds of its training data is damaged" in refused("test", "-r", run_dir)
