"""MNIST for the tests that need it: made up, in the real file format."""

import struct
from pathlib import Path

import numpy as np
import pytest


def write_idx(path: Path, array: np.ndarray) -> None:
    """MNIST's file format: two zeros, the type (8: bytes), the number of dimensions, their sizes, the bytes."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.fixture(scope="session")
def fake_mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data_dir with noisy images in which a bright square's place is the class: 1,000 to train on, 300 to test."""
    data_dir = tmp_path_factory.mktemp("data")
    raw = data_dir / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, n_samples in (("train", 1000), ("t10k", 300)):
        labels = np.arange(n_samples) % 10
        rng.shuffle(labels)
        images = rng.integers(0, 130, (n_samples, 28, 28))
        for image, label in zip(images, labels, strict=True):
            row, column = divmod(int(label), 4)
            image[2 + 8 * row :, 1 + 7 * column :][:6, :5] += 120
        write_idx(raw / f"{part}-images-idx3-ubyte", images)
        write_idx(raw / f"{part}-labels-idx1-ubyte", labels)
    return data_dir
