"""The pictures of a test: which there are, what they hold, and that nothing odd stops them."""

import json

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from sklearn import metrics
from torch import nn

from base import BaseDataLoader, InMemoryDataset
from logger.figures import best_epoch, draw_figures, heads_of
from logger.figures.classes import confusion_matrix, most_wrong, reliability, roc_and_pr
from logger.figures.curves import curves
from logger.figures.images import image_grid, is_images
from logger.figures.style import in_style
from logger.figures.values import fitted_curve, predicted_and_true, residuals
from tests.conftest import load_script
from utils.errors import run_command

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def as_it_is_drawn():
    with in_style():
        yield


def head_of(output, target, classes=()):
    [head] = heads_of(torch.as_tensor(output, dtype=torch.float32), torch.as_tensor(target), classes)
    return head


def lines_of(axes):
    """The curves of some axes, by what their legend says."""
    return {line.get_label(): line for line in axes.lines}


def draw(folder, data, output, target, classes=()):
    loader = BaseDataLoader(InMemoryDataset(data, target), 4, training=False)
    loader.classes = list(classes)
    folder.mkdir(exist_ok=True)
    paths = draw_figures(folder / "figures", (output, target), loader, lambda: nn.Linear(1, 1), "off")
    assert sorted(paths) == sorted((folder / "figures").iterdir())
    assert all(imread(path).std() > 0 for path in paths)
    return {path.stem for path in paths}


# ------------------------------------------------------------------------------------------------- what they hold


def test_a_confusion_matrix_counts_as_scikit_learn_does():
    scores, target = rng.normal(size=(200, 4)), rng.integers(0, 4, 200)
    axes = confusion_matrix(head_of(scores, target, ["a", "b", "c", "$5-$10"])).axes[0]
    drawn = np.zeros((4, 4), int)
    for text in axes.texts:
        column, row = text.get_position()
        drawn[row, column] = int(text.get_text())
    assert np.array_equal(drawn, metrics.confusion_matrix(target, scores.argmax(1)))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c", "$5-$10"]
    assert f"{metrics.accuracy_score(target, scores.argmax(1)):.1%} of 200" in axes.get_title("left")


def test_of_very_many_classes_the_commonest_confusions_are_drawn():
    scores, target = np.zeros((50, 10_000)), np.full(50, 17)
    scores[:30, 4], scores[30:, 17] = 5, 5
    axes = confusion_matrix(head_of(scores, target)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["17  →  4"]
    assert axes.patches[0].get_width() == 30
    assert roc_and_pr(head_of(scores, target)) is None  # one class alone
    assert reliability(head_of(scores, target)) is not None


def test_curves_of_two_classes_are_those_of_the_second():
    target = np.array([0, 1, 1, 0, 1, 1])
    head = head_of([[0.0, s] for s in (0.1, 0.9, 0.4, 0.5, 0.2, 0.8)], target, ["no", "yes"])
    roc, pr = roc_and_pr(head).axes
    area = metrics.roc_auc_score(target, head.prediction[:, 1])
    expected = metrics.roc_curve(target, head.prediction[:, 1])[:2]
    assert np.allclose(lines_of(roc)[f"yes  {area:.3f}"].get_xydata().T, expected)
    assert f"yes  {metrics.average_precision_score(target, head.prediction[:, 1]):.3f}" in lines_of(pr)


def test_of_many_classes_those_that_are_found_worst_get_a_curve():
    target = np.arange(200) % 10
    scores = np.eye(10)[target] * 8
    scores[:, [2, 7]] = rng.normal(size=(200, 2))
    roc, _ = roc_and_pr(head_of(scores, target)).axes
    names = [label.split()[0] for label in lines_of(roc) if not label.startswith("_")]
    assert {"2", "7"} < {*names} and len(names) == 6 and "6 hardest" in roc.get_title("left")


def test_a_reliability_diagram_shows_the_share_that_is_right_of_each_bin():
    probabilities = np.array([[0.95, 0.05]] * 10 + [[0.35, 0.65]] * 10)
    target = np.array([0] * 8 + [1] * 2 + [1] * 7 + [0] * 3)
    upper, lower = reliability(head_of(np.log(probabilities), target)).axes
    heights = [bar.get_height() for bar in upper.patches]
    assert heights == [0, 0, 0, 0, 0, 0, 0.7, 0, 0, 0.8]
    assert [bar.get_height() for bar in lower.patches] == [0, 0, 0, 0, 0, 0, 10, 0, 0, 10]
    assert f"{0.5 * 0.15 + 0.5 * 0.05:.3f}" in upper.get_title("left")


def test_the_most_wrong_samples_are_those_whose_truth_was_least_probable():
    scores = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [torch.nan, 1.0]])
    assert most_wrong(head_of(scores.log(), [1, 0, 0, 0]), 10).tolist() == [0, 1]


def test_residuals_and_predictions_leave_out_what_is_not_known():
    head = head_of([[1.0], [2.0], [torch.nan], [4.0]], [[1.5], [2.0], [3.0], [3.0]])
    [offsets] = [points.get_offsets() for points in predicted_and_true(head).axes[0].collections]
    assert offsets.tolist() == [[1.5, 1.0], [2.0, 2.0], [3.0, 4.0]]
    [offsets] = [points.get_offsets() for points in residuals(head).axes[0].collections]
    assert offsets.tolist() == [[1.0, -0.5], [2.0, 0.0], [4.0, 1.0]]
    title = predicted_and_true(head).axes[0].get_title("left")
    assert "Mean absolute error 0.5" in title and f"R² {metrics.r2_score([1.5, 2, 3], [1, 2, 4]):.3f}" in title
    assert predicted_and_true(head_of([[torch.nan]], [[1.0]])) is None


def test_a_fitted_curve_is_sorted_by_its_input():
    axes = fitted_curve(*(np.array(values) for values in ([2.0, 1.0], [4.0, 2.0], [0.0, 9.0], [4.1, 2.1]))).axes[0]
    assert lines_of(axes)["trained"].get_xydata().tolist() == [[1.0, 2.1], [2.0, 4.1]]
    assert lines_of(axes)["before training"].get_xydata().tolist() == [[1.0, 9.0], [2.0, 0.0]]


def test_curves_mark_the_epoch_that_the_trainer_calls_best():
    records = [{"epoch": epoch, "loss": 1 / epoch, "val_loss": loss, "lr": 0.1, "seconds": 1}
               for epoch, loss in enumerate([3.0, 1.0, 1.0, None], 1)]  # fmt: skip
    loss, lr = curves(records, "min val_loss").axes
    assert loss.get_title("left") == "loss" and lr.get_title("left") == "lr"
    assert lines_of(loss)["training"].get_ydata().tolist() == [1, 1 / 2, 1 / 3, 1 / 4]
    assert lines_of(loss)["best: epoch 2"].get_xdata() == [2, 2]
    assert best_epoch(records, "max val_loss") == 1 and best_epoch(records, "off") is None
    assert best_epoch(records, "min f1") is None and curves([]) is None


def test_images_are_what_looks_like_it():
    assert is_images(torch.rand(2, 3, 8, 8)) and not is_images(torch.rand(2, 5, 8, 8))
    assert not is_images(torch.rand(2, 3)) and not is_images({"a": 1})
    shown = image_grid(torch.tensor([[[[-1.0, 3.0], [1.0, torch.nan]]]]), ["cat"]).axes[0]
    assert shown.images[0].get_array().tolist() == [[0.0, 1.0], [0.5, 0.25]]
    assert shown.texts[0].get_text() == "cat"


# ------------------------------------------------------------------------------------------------- which there are


def test_of_images_in_classes(tmp_path):
    target = torch.arange(20) % 3
    output = torch.nn.functional.one_hot(target, 3).float()
    output[3] = torch.tensor([0.0, 4.0, 0.0])
    names = draw(tmp_path, torch.rand(20, 1, 6, 6), output, target, ["고양이", "<b>dog</b>", "a" * 300])
    assert names == {"samples", "confusion_matrix", "most_wrong", "roc_and_pr", "reliability"}


def test_of_one_input_and_one_output(tmp_path):
    x = torch.linspace(-1, 1, 30).unsqueeze(1)
    assert draw(tmp_path, x, x * 2, x * 2) == {"predicted_and_true", "residuals", "fitted_curve"}


@pytest.mark.parametrize(
    ("output", "target"),
    [
        (torch.rand(1, 3), torch.tensor([2])),  # one sample
        (torch.rand(9, 3), torch.full((9,), 2)),  # one class
        (torch.full((4, 3), torch.nan), torch.tensor([0, 1, 2, 0])),
        (torch.rand(1, 1), torch.rand(1, 1)),
        (torch.full((3, 1), torch.inf), torch.rand(3, 1)),
        (torch.rand(3, 10_000), torch.tensor([1, 2, 9_999])),
        (torch.rand(3, 200), torch.rand(3, 200)),  # very many values
        (torch.rand(3, 2), torch.tensor([-100, 0, 1])),  # a target that is to be ignored
        ({"a": torch.rand(3, 2), "../b": torch.rand(3, 2)}, {"a": torch.tensor([0, 1, 1]), "../b": torch.rand(3, 2)}),
    ],
)
def test_nothing_odd_stops_them(tmp_path, output, target):
    first = target["a"] if isinstance(target, dict) else target
    loader = BaseDataLoader(InMemoryDataset(torch.rand(len(first), 4), first), 4, training=False)
    draw_figures(tmp_path / "figures", (output, target), loader, lambda: nn.Linear(1, 1), "min val_loss")
    assert [path.name for path in tmp_path.iterdir()] == ["figures"]


def test_a_damaged_log_costs_its_own_lines_alone(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "loss": 2}\n[]\n{"epoch": "x"}\n{"ep')
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "old.png").write_bytes(b"")
    x = torch.rand(5, 4)
    assert draw(tmp_path, x, x[:, :1], x[:, :1]) == {"curves", "predicted_and_true", "residuals"}


def test_a_test_draws_and_lists_every_sample(train, offline, tmp_path, capsys):
    run_dir = train("config.json", "trainer.epochs=1", "data_loader.args.n_samples=300", *offline)
    capsys.readouterr()
    assert run_command(load_script("test").main, ["-r", str(run_dir)]) == 0
    assert "beside it predictions.csv and 6 pictures in figures/\n" in capsys.readouterr().out
    assert {path.stem for path in (run_dir / "figures").iterdir()} == {
        "curves", "samples", "confusion_matrix", "most_wrong", "roc_and_pr", "reliability"}  # fmt: skip
    header, *rows = [line.split(",") for line in (run_dir / "predictions.csv").read_text().splitlines()]
    results = json.loads((run_dir / "test_metrics.json").read_text())
    assert header[:4] == ["index", "target", "prediction", "probability"] and len(rows) == results["n_samples"]
    assert sum(row[1] == row[2] for row in rows) / len(rows) == pytest.approx(results["accuracy"])
