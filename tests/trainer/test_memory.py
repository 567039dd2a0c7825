"""A long run needs no more memory than a short one."""

import gc
import logging
import os
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from base import BaseDataLoader, InMemoryDataset
from trainer import Trainer

STATUS = Path("/proc/self/statm")
AT = (100, 1_100)  # epochs


class WatchedTrainer(Trainer):
    """Looks at this process's memory after some epochs."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.n_blocks, self.n_bytes = [], []

    def _train_epoch(self, epoch):
        log = super()._train_epoch(epoch)
        if epoch in AT:
            gc.collect()
            self.n_blocks.append(sys.getallocatedblocks())
            self.n_bytes.append(int(STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        return log


@pytest.mark.skipif(not STATUS.exists(), reason="this system does not tell a process's memory there")
def test_a_thousand_more_epochs_need_no_more_memory(tmp_path):
    """Batches, validation, metrics, the log, TensorBoard, checkpoints, the best state."""
    x = torch.linspace(-1, 1, 10).unsqueeze(1)
    loader = BaseDataLoader(InMemoryDataset(x, 2 * x), batch_size=6, validation_split=4)
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    trainer = WatchedTrainer(
        model, nn.functional.mse_loss, [nn.functional.l1_loss], optimizer, loader, loader.split_validation(),
        epochs=AT[-1], monitor="min val_loss", save_period=AT[-1],
    )  # fmt: skip
    logging.disable(logging.INFO)  # pytest keeps every line
    try:
        trainer.train(tmp_path)
    finally:
        logging.disable(logging.NOTSET)
    before, after = trainer.n_blocks
    assert after - before < 500  # a number, a text or a list kept per epoch would be 1,000 of Python's blocks
    before, after = trainer.n_bytes
    assert after - before < 1e6  # a tensor of 1 kB kept per epoch
