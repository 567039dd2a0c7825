"""From files to batches: a table's first batch, and a folder of images."""

import os
from functools import partial
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

from benchmarks.measure import Contestants, microseconds
from data_loader.csv_file import CsvDataLoader
from data_loader.image_folder import ImageFolderDataLoader

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SIDE = 64
FIXED = [{"type": "Resize", "args": {"size": [SIDE, SIDE]}}]
AT_RANDOM = [{"type": "RandomCrop", "args": {"size": SIDE, "padding": 4}}, {"type": "RandomHorizontalFlip"}]
LAST = [{"type": "Normalize", "args": {"mean": MEAN, "std": STD}}]


def table(folder: Path, n_rows: int) -> Contestants:
    """A CSV file of 17 columns of numbers and 3 of words, read by pandas, and until the loader's first batch."""
    import pandas as pd

    rng, path = np.random.default_rng(0), folder / "table.csv"
    columns = pd.DataFrame(rng.normal(size=(n_rows, 17)).round(5)).add_prefix("x")
    for name, n_words in {"city": 50, "kind": 5, "label": 2}.items():
        columns[name] = rng.choice([f"{name}{i}" for i in range(n_words)], n_rows)
    columns.to_csv(path, index=False)
    work = {
        "pandas.read_csv": lambda: len(pd.read_csv(path)),
        "CsvDataLoader": lambda: n_rows if next(iter(CsvDataLoader(path, "label", 128))) else 0,
    }
    return {name: partial(microseconds, each) for name, each in work.items()}


def write_images(folder: Path, n_images: int) -> None:
    """JPEG files of the size of photos on the web, of two classes."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(n_images):
        path = folder / "train" / f"class{number % 2}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (47, 62, 3), dtype=np.uint8))
        coarse.resize((500, 375)).save(path, quality=90)


def images_start(folder: Path, n_images: int) -> Contestants:
    """Until the files, which are all the same one, are known."""
    from torchvision.datasets import ImageFolder

    write_images(folder, 2)
    for number in range(2, n_images):
        of_class = folder / "train" / f"class{number % 2}"
        os.link(of_class / f"{number % 2}.jpg", of_class / f"{number}.jpg")
    work = {
        "os.walk": lambda: sum(len(files) for _, _, files in os.walk(folder)),
        "torchvision.ImageFolder": lambda: len(ImageFolder(folder / "train")),
        "ImageFolderDataLoader": lambda: ImageFolderDataLoader(folder, 32, transforms=FIXED).n_samples,
    }
    return {name: partial(microseconds, each) for name, each in work.items()}


def images_epoch(folder: Path) -> Contestants:
    """An epoch that is not the first, with the same transforms and two workers."""
    import torch
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    transform = v2.Compose([
        v2.Resize([SIDE, SIDE]), v2.RandomCrop(SIDE, padding=4), v2.RandomHorizontalFlip(),
        v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD),
    ])  # fmt: skip
    dataset = ImageFolder(folder / "train", transform)
    loaders = {
        "torchvision.ImageFolder": DataLoader(dataset, 32, shuffle=True, num_workers=2, persistent_workers=True),
        "ImageFolderDataLoader": ImageFolderDataLoader(
            folder, 32, transforms=[*FIXED, *AT_RANDOM, *LAST], eval_transforms=[*FIXED, *LAST], num_workers=2
        ),
    }

    def n_read(loader: DataLoader) -> int:
        return sum(len(data) for data, _ in loader)

    return {name: partial(microseconds, partial(n_read, loader)) for name, loader in loaders.items()}
