"""The table of what a model says: its columns for every kind of output."""

import numpy as np
import pytest
import torch

from logger.figures import Predictions, prediction_table

SCORES = torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0], [1.0, 1.0, 4.0]])
NUMBERS = torch.tensor([0, 1, 1])


def values(table, column):
    return pytest.approx(table[column].tolist(), rel=1e-5)


@pytest.mark.parametrize("output", [SCORES, SCORES.log_softmax(1), SCORES.softmax(1), SCORES.bfloat16()])
def test_scores_log_probabilities_and_probabilities_give_the_same_table(output):
    table = prediction_table(output, NUMBERS, ["cat", "dog", "pig"])
    assert list(table) == ["index", "target", "prediction", "probability",
                           "probability_cat", "probability_dog", "probability_pig"]  # fmt: skip
    assert table["target"].tolist() == ["cat", "dog", "dog"] and table["prediction"].tolist() == ["cat", "dog", "pig"]
    expected = np.exp(SCORES.numpy()) / np.exp(SCORES.numpy()).sum(1, keepdims=True)
    assert values(table, "probability_pig") == expected[:, 2].tolist()
    assert values(table, "probability") == expected.max(1).tolist()


def test_a_single_logit_is_that_of_class_1():
    for logit in (torch.tensor([-1.0, 2.0]), torch.tensor([[-1.0], [2.0]])):
        table = prediction_table(logit, torch.tensor([1, 1]), ["no", "yes"])
        assert table["target"].tolist() == ["yes", "yes"] and table["prediction"].tolist() == ["no", "yes"]
        assert values(table, "probability_yes") == [1 / (1 + np.e), 1 / (1 + np.exp(-2))]
        assert table.equals(prediction_table(logit, torch.tensor([[1.0], [1.0]]), ["no", "yes"]))


def test_values_stay_as_they_are():
    one = prediction_table(torch.tensor([[1.5], [2.5]]), torch.tensor([[1.0], [2.0]]), indices=[7, 9])
    assert one.to_dict("list") == {"index": [7, 9], "target": [1.0, 2.0], "prediction": [1.5, 2.5]}
    two = prediction_table(torch.tensor([[1.5, 2.5]]), torch.tensor([[1.0, 2.0]]))
    assert list(two) == ["index", "target_0", "target_1", "prediction_0", "prediction_1"]
    assert list(prediction_table(torch.ones(2, 1), torch.tensor([[3], [4]]))) == ["index", "target", "prediction"]


def test_without_targets_the_names_say_that_it_is_classes():
    assert prediction_table(SCORES, classes=["a", "b", "c"])["prediction"].tolist() == ["a", "b", "c"]
    assert list(prediction_table(SCORES)) == ["index", "prediction_0", "prediction_1", "prediction_2"]


def test_labels_that_do_not_exclude_each_other_have_a_probability_each():
    table = prediction_table(torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 1.0]]), ["red", "big"])
    assert list(table) == ["index", "target_red", "target_big", "probability_red", "probability_big"]
    assert table.loc[0].tolist() == pytest.approx([0, 1, 1, 0.5, 1 / (1 + np.exp(-2))])


def test_several_outputs_have_a_block_each():
    outputs = {"digit": SCORES, "size": torch.tensor([1.0, 2.0, 3.0])}
    targets = {"digit": NUMBERS, "size": torch.tensor([1.0, 2.0, 2.0])}
    table = prediction_table(outputs, targets, {"digit": ["x", "y", "z"]})
    assert table["digit_prediction"].tolist() == ["x", "y", "z"] and table["size_target"].tolist() == [1.0, 2.0, 2.0]
    assert "0_prediction" in prediction_table((SCORES, torch.rand(3, 5)), NUMBERS)


def test_what_is_not_known_is_left_empty():
    output = SCORES.clone()
    output[1, 0] = torch.nan
    table = prediction_table(output, NUMBERS)
    assert table["prediction"].tolist() == [0, None, 2] and np.isnan(table["probability"][1])
    assert ",1,1,,," in f",{table.to_csv(index=False).splitlines()[2]}"
    assert "prediction" in prediction_table(torch.full((2, 3), torch.nan), torch.tensor([0, 1]))


def test_large_outputs_and_very_many_classes_do_not_swell_the_table():
    assert list(prediction_table(torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16))) == ["index"]
    table = prediction_table(torch.rand(2, 10_000), torch.tensor([1, 9999]))
    assert list(table) == ["index", "target", "prediction", "probability"]
    assert list(prediction_table(torch.rand(0, 3), torch.zeros(0).long(), ["a", "b", "c"])["target"]) == []


def test_what_is_kept_of_an_evaluation_is_in_its_order_and_limited(monkeypatch):
    kept = Predictions()
    assert kept.batch() is None
    for i in range(3):
        kept({"a": torch.full((2, 1), float(i))}, torch.tensor([i, i]))
    output, target = kept.batch()
    assert output["a"].flatten().tolist() == target.tolist() == [0, 0, 1, 1, 2, 2] and kept.left_out == ""
    monkeypatch.setattr("logger.figures.predictions.MAX_NUMBERS", 10)
    kept = Predictions()
    for _ in range(3):
        kept(torch.rand(2, 3), torch.tensor([0, 1]))
    assert len(kept.batch()[1]) == 4 and "only of the first samples" in kept.left_out
    unequal = Predictions()
    unequal(torch.rand(1, 2), torch.tensor([0]))
    unequal(torch.rand(1, 3), torch.tensor([0]))
    assert unequal.batch() is None and "cannot be one batch" in unequal.left_out
