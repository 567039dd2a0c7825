"""Try a trainer once, before a long run: python train.py -c config.json --check"""

import itertools
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer import Trainer


def check(trainer: "Trainer") -> None:
    """Train and validate on one batch, save and reload. Leaves no file."""
    from utils.checkpoint import load_checkpoint, save_checkpoint, snapshot

    valid_data_loader = trainer.valid_data_loader or trainer.data_loader
    with closing(trainer.data_loader), closing(valid_data_loader), tempfile.TemporaryDirectory() as folder:
        trainer.data_loader.set_position(epoch=1)
        trainer.train_step(next(iter(trainer.data_loader)))
        trainer.evaluate(itertools.islice(valid_data_loader, 1))
        path = Path(folder) / "checkpoint.pth"
        save_checkpoint(snapshot(trainer.state_dict()) | {"config": trainer.config}, path)
        trainer.load_state_dict(load_checkpoint(path))
