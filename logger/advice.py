"""A word at the end of a run, where its numbers show a known pattern."""

import json
import logging
from pathlib import Path

NEAR_ZERO = 0.1  # of the validation loss
RISE = 1.1

logger = logging.getLogger(__name__)


def name_overfitting(run_dir: Path, monitor: str) -> None:
    """Warn if the training loss ended near 0 while the validation loss rose well above its lowest value."""
    records = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    records = [record for record in records if {type(record.get("loss")), type(record.get("val_loss"))} == {float}]
    if not records:
        return
    last, lowest = records[-1], min(records, key=lambda record: record["val_loss"])
    has_learned = 0 <= last["loss"] < records[0]["loss"] and lowest["val_loss"] > 0
    if has_learned and last["loss"] < NEAR_ZERO * last["val_loss"] and last["val_loss"] > RISE * lowest["val_loss"]:
        logger.warning(
            "Overfitting: the training loss is %.3g, but val_loss rose from %.3g in epoch %d to %.3g. More data, "
            "augmentation, dropout, weight_decay or fewer epochs (early_stop) help%s.",
            last["loss"],
            lowest["val_loss"],
            lowest["epoch"],
            last["val_loss"],
            "; model_best.pth is of that epoch" if monitor == "val_loss" else ', and "monitor": "min val_loss"',
        )
