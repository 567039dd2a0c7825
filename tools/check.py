"""Try a config once, before a long run: python train.py -c config.json --check"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from parse_config import ConfigParser

if TYPE_CHECKING:
    import torch

    from base import BaseDataLoader
    from trainer import Trainer


def check(
    config: ConfigParser, trainer: "Trainer", build_trainer: Callable[[ConfigParser, "torch.device"], "Trainer"]
) -> None:
    """The stories of train.py and test.py on one batch each, in a folder that is gone then."""
    from data_loader.build import build_test_loader
    from data_loader.report import report_data
    from trainer.build import build_tester
    from utils.checkpoint import open_checkpoint
    from utils.parallel import from_main, largest

    # ---- an epoch of one batch, validated on one batch, and saved
    report_data(trainer.data_loader)
    for loader in filter(None, (trainer.data_loader, trainer.valid_data_loader)):
        limit_to_a_batch(loader)
    trainer.epochs, trainer.batch = min(trainer.epochs, trainer.epoch + 1), 0
    trainer.writers = [name for name in trainer.writers if name == "tensorboard"]  # the others may tell a server
    with tempfile.TemporaryDirectory() as folder:
        folder = from_main(folder)
        trainer.train(Path(folder))
        largest(0)  # of several processes, rank 0 has saved
        was_trained = trainer.checkpoints is not None  # a run that is finished is not
        checkpoint = open_checkpoint(Path(folder))[1] if was_trained else config.checkpoint

    # ---- what `train.py -r` and test.py do with it
    build_trainer(config, trainer.device).resume(checkpoint)
    test_data_loader = build_test_loader(config)
    limit_to_a_batch(test_data_loader)
    build_tester(config, checkpoint, trainer.device).evaluate(test_data_loader)
    test_data_loader.close()


def limit_to_a_batch(loader: "BaseDataLoader") -> None:
    """Let an epoch be a single batch."""
    loader.sampler.length = min(loader.sampler.length, loader.batch_size)
