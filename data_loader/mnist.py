"""MNIST: 60,000 training and 10,000 test images of handwritten digits, 28 x 28 pixels, ten classes."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from base import BaseDataLoader, InMemoryDataset
from data_loader.subset import choose_samples
from data_loader.transforms import Augmentation, Normalize

MEAN, STD = 0.1307, 0.3081  # of the training images' pixels in [0, 1]


class MnistDataLoader(BaseDataLoader):
    """Batches of (data, target): standardized float32 (batch, 1, 28, 28) and int64 (batch,).

    data_dir: the folder that holds, or shall hold, MNIST/raw/train-images-idx3-ubyte and the other three files.
    training: the training images; False: the test images.
    download: fetch the files if they are not there.
    classes: the digits to use, numbered anew in this order; by default all. See choose_samples.
    n_samples: use only so many training images, always the same ones; by default all.
    augment: what to do to training images at random, in order, as {"type": "RandomCrop", "args": {"padding": 2}}. See
        data_loader/transforms.py.
    options: those of BaseDataLoader.

    The images stay bytes in memory; a batch is standardized when it is read. Raises FileNotFoundError when the files
    are missing and cannot be downloaded.
    """

    def __init__(
        self,
        data_dir: str | Path,
        batch_size: int,
        training: bool = True,
        download: bool = True,
        classes: list[int] | None = None,
        n_samples: int | None = None,
        augment: Sequence[dict[str, Any]] = (),
        **options: Any,
    ):
        mnist = _read(Path(data_dir), training, download)
        indices, target = choose_samples(mnist.targets, classes, n_samples if training else None)
        images = mnist.data.unsqueeze(1)[indices]
        dataset = InMemoryDataset(images, target, Normalize(MEAN, STD), Augmentation(augment) if augment else None)
        super().__init__(dataset, batch_size, training=training, **options)
        self.classes = [str(digit) for digit in classes or range(10)]


def _read(data_dir: Path, training: bool, download: bool) -> Any:
    from torchvision.datasets import MNIST

    folders = [data_dir / "MNIST" / "raw", data_dir / "MNIST", data_dir]
    made_by_download = [folder for folder in folders if download and not folder.exists()]
    try:
        return MNIST(data_dir, train=training, download=download)  # torchvision compares a download's MD5
    except (RuntimeError, OSError) as error:
        for folder in made_by_download:
            with contextlib.suppress(OSError):  # not there, or not empty
                folder.rmdir()
        raise FileNotFoundError(
            f"no MNIST in {data_dir}: {folders[0]} should hold train-images-idx3-ubyte, train-labels-idx1-ubyte, "
            "t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte. Put them there, name another data_dir, or let "
            f'"download": true fetch them over the network ({str(error).splitlines()[0].rstrip(":")}). With -r, which '
            "never downloads, name the config too: -c CONFIG"
        ) from error
    except Exception as error:  # torchvision asserts, unpacks and unpickles (safely) what it finds
        raise ValueError(f"the files in {folders[1]} are not MNIST's; delete them ({type(error).__name__})") from error
