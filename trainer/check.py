"""Try a config once, before a long run: python train.py -c config.json --check"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from base import BaseDataLoader
from trainer.build import build_tester
from utils.checkpoint import open_checkpoint
from utils.errors import printable
from utils.parallel import from_main, largest


def check(
    config: Any,
    build_or_resume: Callable[[Any], tuple[Any, list[str]]],
    build_trainer: Callable[[Any, torch.device], Any],
    build_test_loader: Callable[[Any], BaseDataLoader],
) -> None:
    """The stories of train.py and test.py on one batch each, in a folder that is gone then."""
    trainer, notes = build_or_resume(config)

    # ---- an epoch of one batch, validated on one batch, and saved
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
        largest(0)  # all have read it

    # ---- what `train.py -r` and test.py do with it
    build_trainer(config, trainer.device).resume(checkpoint)
    config.checkpoint = checkpoint
    test_data_loader = build_test_loader(config)
    limit_to_a_batch(test_data_loader)
    build_tester(config, checkpoint, trainer.device).evaluate(test_data_loader)
    test_data_loader.close()

    notes += ["Everything works: trained, validated, saved, reloaded and tested on one batch. Nothing was written."]
    print(printable("\n".join(notes)))


def limit_to_a_batch(loader: BaseDataLoader) -> None:
    """Let an epoch be a single batch."""
    loader.sampler.length = min(loader.sampler.length, loader.batch_size)
