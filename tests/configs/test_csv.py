import json

import pandas as pd
import pytest
import torch

from data_loader.csv_file import CsvDataLoader
from model.mlp import MLP
from tools.make_table import make_table
from utils.checkpoint import load_checkpoint
from utils.data import split_indices


def test_the_shipped_table_is_what_the_tool_makes():
    shipped = pd.read_csv("configs/passengers.csv")
    pd.testing.assert_frame_equal(shipped, make_table(), check_dtype=False)


def test_classification_beats_the_majority_class(train, evaluate):
    run_dir = train("configs/csv_classification.json", "trainer.tensorboard=false")
    results = evaluate(run_dir)
    assert results["n_samples"] == 200
    majority = pd.read_csv("configs/passengers.csv")["survived"].value_counts(normalize=True).max()
    assert results["accuracy"] > majority + 0.1


def test_regression_explains_most_of_the_fare(train, evaluate):
    results = evaluate(train("configs/csv_regression.json", "trainer.tensorboard=false"))
    assert results["r2_score"] > 0.85


def test_a_table_of_ones_own_with_a_category_that_only_the_test_part_has(train, evaluate, tmp_path):
    table = make_table(n_rows=500, seed=1)
    labels = torch.from_numpy(table["survived"].factorize(sort=True)[0])
    _, test_rows = split_indices(torch.arange(500), 0.2, labels)
    table.loc[test_rows.numpy(), "port"] = "Mokpo"
    path = tmp_path / "mine.csv"
    table.to_csv(path, index=False)

    run_dir = train("configs/csv_classification.json", f"data_loader.args.path={path}", "trainer.tensorboard=false")
    results = evaluate(run_dir)
    assert results["n_samples"] == 100
    assert results["accuracy"] > table["survived"].value_counts(normalize=True).max()


def test_the_test_command_sees_the_features_that_the_model_was_trained_on(train, evaluate):
    run_dir = train("configs/csv_classification.json", "trainer.epochs=5", "trainer.tensorboard=false")
    checkpoint = load_checkpoint(run_dir / "model_best.pth")
    arguments = json.loads((run_dir / "config.json").read_text())["data_loader"]["args"]
    [(data, target)] = CsvDataLoader(**arguments | {"batch_size": 1000, "shuffle": False}, training=False)
    model = MLP(**checkpoint["config"]["arch"]["args"]).eval()
    model.load_state_dict(checkpoint["model"])
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model(data), target).item()
    assert evaluate(run_dir)["loss"] == pytest.approx(loss, rel=1e-5)
