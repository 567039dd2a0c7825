"""A long run needs no more memory than a short one."""

import gc
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from base import BaseDataLoader, InMemoryDataset
from trainer import Trainer

STATUS = Path("/proc/self/statm")
N_EPOCHS = 10_000
AT = (2_000, N_EPOCHS)


class WatchedTrainer(Trainer):
    """Looks at this process's memory after some epochs."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.n_objects, self.n_bytes = [], []

    def _train_epoch(self, epoch):
        log = super()._train_epoch(epoch)
        if epoch in AT:
            gc.collect()
            self.n_objects.append(len(gc.get_objects()))
            self.n_bytes.append(int(STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        return log


@pytest.mark.skipif(not STATUS.exists(), reason="this system does not tell a process's memory there")
def test_ten_thousand_epochs_need_no_more_memory_than_two_thousand(tmp_path):
    """Batches, validation, metrics, the log, TensorBoard, checkpoints, the best state."""
    x = torch.linspace(-1, 1, 10).unsqueeze(1)
    loader = BaseDataLoader(InMemoryDataset(x, 2 * x), batch_size=4, validation_split=4)
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    trainer = WatchedTrainer(
        model, nn.functional.mse_loss, [nn.functional.l1_loss], optimizer, loader, loader.split_validation(),
        epochs=N_EPOCHS, monitor="min val_loss", save_period=N_EPOCHS,
    )  # fmt: skip
    trainer.train(tmp_path)
    before, after = trainer.n_objects
    assert after - before < N_EPOCHS / 10  # a thing kept per epoch would be 8,000
    before, after = trainer.n_bytes
    assert after - before < 4e6  # 500 bytes kept per epoch
