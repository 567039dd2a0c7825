import json

import pytest

from logger.advice import name_overfitting


@pytest.mark.parametrize(
    ("losses", "val_losses", "named"),
    [
        ([1, 0.1, 0.001], [1, 0.5, 0.8], True),
        ([1, 0.1, 0.001], [1, 0.5, 0.51], False),  # hardly any rise
        ([1, 0.5, 0.4], [1, 0.5, 0.8], False),  # the training loss is not near 0
        ([1, 0.1, 0.001], [1, 0.5, 0.4], False),
        ([1, 0.1], [None, None], False),
        ([-800, -854], [-850, -854], False),  # a loss without a floor
        ([1e3, 1.5e24], [1.0, 1e26], False),  # diverged: the training loss rose, too
    ],
)
def test_overfitting_is_named_where_it_is(tmp_path, caplog, losses, val_losses, named):
    records = [
        {"epoch": epoch, "loss": loss, "val_loss": val_loss}
        for epoch, (loss, val_loss) in enumerate(zip(losses, val_losses, strict=True), 1)
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, records)))
    name_overfitting(tmp_path, "val_loss")
    assert ("val_loss rose from 0.5 in epoch 2 to 0.8" in caplog.text) == named == bool(caplog.messages)


def test_model_best_is_praised_only_where_it_is_of_the_lowest_val_loss(tmp_path, caplog):
    losses = [(1, 1.0), (0.1, 0.5), (0.001, 0.8)]
    records = [{"epoch": epoch, "loss": loss, "val_loss": val} for epoch, (loss, val) in enumerate(losses, 1)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, records)))
    for monitor in ("val_loss", "val_accuracy", ""):
        name_overfitting(tmp_path, monitor)
    assert [("model_best.pth is of that epoch" in text) for text in caplog.messages] == [True, False, False]


def test_without_validation_there_is_nothing_to_say(tmp_path, caplog):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "loss": 0}\n')
    name_overfitting(tmp_path, "val_loss")
    assert caplog.text == ""
