"""MNIST from files in its real format, with made-up images; the real ones where they are at hand."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from data_loader.mnist import MnistDataLoader


def write_idx(path: Path, array: np.ndarray) -> None:
    """MNIST's file format: two zeros, the type (8: bytes), the number of dimensions, their sizes, the bytes."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def make_mnist(data_dir: Path) -> Path:
    """Noisy images in which a bright square's place is the class: 1,000 to train on, 300 to test. Returns data_dir."""
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


def offline_settings(folder: Path) -> list[str]:
    """With which a config with this loader runs without a network."""
    return [f"data_loader.args.data_dir={make_mnist(folder)}"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mnist(tmp_path_factory.mktemp("data"))


def test_images_stay_bytes_in_memory_and_are_standardized_by_the_batch(data_dir):
    loader = MnistDataLoader(data_dir, 50, shuffle=False)
    assert loader.samples.data.dtype == torch.uint8
    data, target = next(iter(loader))
    assert (data.shape, data.dtype) == ((50, 1, 28, 28), torch.float32)
    assert (target.shape, target.dtype) == ((50,), torch.int64)
    raw = (data_dir / "MNIST/raw/train-images-idx3-ubyte").read_bytes()[16:]
    pixels = np.frombuffer(raw, np.uint8)[: 50 * 784].reshape(50, 1, 28, 28) / 255.0
    np.testing.assert_allclose(data.numpy(), (pixels - 0.1307) / 0.3081, atol=1e-5)
    bytes_ = loader.samples.data[:50]
    assert torch.equal(data, (bytes_ / 255 - 0.1307) / 0.3081)  # to the last bit what tutorials do


def test_the_test_images_are_others(data_dir):
    assert MnistDataLoader(data_dir, 50).n_samples == 1000
    assert MnistDataLoader(data_dir, 50, training=False).n_samples == 300


def test_missing_files_are_named_and_no_folder_is_left(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no MNIST in .*raw should hold train-images-idx3-ubyte") as error:
        MnistDataLoader(tmp_path / "nowhere", 50, download=False)
    assert len(str(error.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
