"""Predictions for new rows: the same as those of test.py, with words for what does not fit."""

import io

import numpy as np
import pandas as pd
import pytest
import torch

from tools import predict
from tools.make_table import make_table
from utils.checkpoint import load_checkpoint, save_checkpoint
from utils.errors import UserError, run_command

FEW = ("trainer.epochs=2", "trainer.tensorboard=false")


@pytest.fixture
def table():
    return make_table()


@pytest.fixture
def path(tmp_path, table):
    path = tmp_path / "table.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def run_dir(train, path):
    return train("configs/csv_classification.json", *FEW, f"data_loader.args.path={path}")


def run(*argv, code=0):
    assert run_command(predict.main, [*map(str, argv)]) == code


def test_a_table_is_predicted_as_test_py_does_after_the_training_data_are_gone(run_dir, evaluate, path, table, capsys):
    evaluate(run_dir, f"data_loader.args.path={path}", f"trainer.save_dir={run_dir}")
    path.rename(path.with_name("other.csv"))
    answers = path.with_name("answers.csv")
    run("-r", run_dir, path.with_name("other.csv"), "--csv", answers)
    assert "1000 predictions written" in capsys.readouterr().out
    found = pd.read_csv(answers)
    assert list(found) == ["input", "prediction", "probability", "probability_no", "probability_yes"]
    assert found["input"].tolist() == list(range(1, 1001)) and {*found["prediction"]} == {"no", "yes"}
    accuracy = (found["prediction"] == table["survived"]).mean()
    assert accuracy > 0.7
    assert np.allclose(found["probability"], found[["probability_no", "probability_yes"]].max(axis=1))


def test_a_value_is_in_original_units(train, path, table):
    run_dir = train("configs/csv_regression.json", "trainer.epochs=20", FEW[1], f"data_loader.args.path={path}")
    found = predict.load(run_dir)(table.drop(columns="fare"))
    assert list(found) == ["input", "prediction"]
    assert abs(found["prediction"] - table["fare"]).mean() < 0.5 * table["fare"].std()


def test_one_row_in_any_form_is_the_same_prediction(run_dir, path, table):
    predictor = predict.load(str(run_dir))
    row = table.drop(columns="survived").iloc[[3]]
    expected = predictor(path).iloc[3].to_dict() | {"input": "1"}
    [name] = {len(predictor(row)), len(predictor(row.to_dict("records")))}
    assert name == 1
    for form in (row, row.to_dict("records"), io.StringIO(row.to_csv(index=False))):
        found = predictor(form).iloc[0].to_dict()
        assert found["probability_yes"] == pytest.approx(expected["probability_yes"], abs=1e-6)
    batch, names, problems, notes = predictor.read(row)
    assert (batch.shape, names, problems, notes) == ((1, 13), ["1"], [], {})
    assert predictor(batch)["prediction"][0] == expected["prediction"]


def test_what_does_not_fit_is_named_and_the_rest_is_predicted(run_dir, path, table, tmp_path, capsys, caplog):
    odd = table.head(3).assign(port=["Mokpo", *table["port"][1:3]])
    odd.to_csv(tmp_path / "odd.csv", index=False)
    table.drop(columns="age").to_csv(tmp_path / "short.csv", index=False)
    capsys.readouterr()
    run("-r", run_dir, tmp_path / "odd.csv", tmp_path / "short.csv", tmp_path / "none.csv")
    shown = capsys.readouterr()
    assert "'port': 'Mokpo' in row 1 is no category" in shown.err and "no column 'age'" in shown.err
    assert "there is no file" in shown.err and "Traceback" not in shown.err
    assert shown.out.count("odd.csv:") == 3 and "short.csv" not in shown.out
    run("-r", run_dir, tmp_path / "none.csv", code=2)
    assert "nothing could be predicted" in capsys.readouterr().err
    notes = predict.load(run_dir)(odd)["note"]
    assert notes.tolist() == ["'port': 'Mokpo' is no category that training knows", "", ""]
    assert "'Mokpo'" in caplog.text
    with pytest.raises(UserError, match="no column 'age'"):
        predict.load(run_dir)(table.drop(columns="age"))


def test_numbers_are_a_row(train, tmp_path, capsys):
    rng = np.random.default_rng(0)
    a, b = rng.normal(10, 3, (2, 200))
    pd.DataFrame({"a": a, "b": b, "y": np.where(a > 10, "big", "small")}).to_csv(tmp_path / "t.csv", index=False)
    settings = ["data_loader.args.target=y", f"data_loader.args.path={tmp_path / 't.csv'}", "trainer.epochs=20"]
    run_dir = train("configs/csv_classification.json", *settings)
    capsys.readouterr()
    run("-r", run_dir, "--", "16", "-1.5")
    assert "big" in capsys.readouterr().out
    run("-r", run_dir, "4", "8")
    assert "small" in capsys.readouterr().out
    run("-r", run_dir, "4", code=2)
    assert "1 numbers for the 2 columns a, b" in capsys.readouterr().err


def test_without_a_table_numbers_are_the_models_input(train, capsys):
    run_dir = train("config.json", *FEW)
    predictor = predict.load(run_dir)
    batch = torch.rand(300, 64)
    with torch.no_grad():
        expected = predictor.model(batch).softmax(dim=1)
    found = predictor(batch)
    assert found["prediction"].tolist() == [str(number) for number in expected.argmax(dim=1).tolist()]
    assert np.allclose(found["probability_7"], expected[:, 7], atol=1e-6)
    capsys.readouterr()
    run("-r", run_dir, *batch[0].tolist())
    assert found["prediction"][0] in capsys.readouterr().out.split()
    run("-r", run_dir, "picture.png", code=2)
    assert "DigitsDataLoader has no read_inputs" in capsys.readouterr().err
    run("-r", run_dir, "1", "2", code=2)
    assert "a sample has 2 numbers" in capsys.readouterr().err


def test_a_run_that_cannot_predict_is_one_line(run_dir, tmp_path, refused):
    assert "no such checkpoint" in refused("tools/predict", "-r", tmp_path / "none", "1")
    old = load_checkpoint(run_dir / "model_best.pth")
    del old["data"]
    save_checkpoint(old, tmp_path / "old.pth")
    message = refused("tools/predict", "-r", tmp_path / "old.pth", "1")
    assert "does not hold what was learnt of its training data" in message and "train anew" in message
