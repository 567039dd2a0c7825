"""Images in tar files: more than memory holds, or than a folder should.

data_dir/train-*.tar    to train on; in each, 000123.jpg and 000123.cls, which holds its class number, are one sample
data_dir/test-*.tar     for test.py

This is WebDataset's format. Where each image lies is noted when the loader is made, and it is read when it is needed.
So the order, a resume and the shares of several processes are those of any loader, and nobody reads another's images.
"""

import io
import tarfile
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from base import BaseDataLoader
from data_loader.image_folder import ImageFolderDataLoader
from data_loader.images.dataset import check_fitted, for_evaluation, make_datasets
from data_loader.images.files import EXTENSIONS, read_image
from data_loader.images.transform import make_steps, n_for_batches
from utils.errors import UserError


class TarImagesDataLoader(BaseDataLoader):
    """Batches of (data, target): float32 (batch, 3, height, width) and int64 (batch,).

    data_dir: the folder with train-*.tar and test-*.tar.
    training: the images to train on; False: those to test on.
    transforms: transforms of torchvision.transforms.v2, in order, as {"type": "Resize", "args": {"size": [64, 64]}}.
    eval_transforms: the same for validation and test, without augmentation; by default `transforms`.
    options: those of BaseDataLoader.

    Images are read as RGB. Raises FileNotFoundError if there is no such file, UserError for one that is damaged, cut
    off, or holds an image without a class, and ValueError for a class that was not trained, and for a transform that
    does not exist or does not work.
    """

    read_inputs = ImageFolderDataLoader.read_inputs

    def __init__(
        self,
        data_dir: str | Path,
        batch_size: int,
        training: bool = True,
        transforms: Sequence[dict[str, Any]] = (),
        eval_transforms: Sequence[dict[str, Any]] | None = None,
        fitted: dict[str, Any] | None = None,
        **options: Any,
    ):
        if fitted:
            check_fitted(fitted)
        eval_transforms = for_evaluation(transforms, eval_transforms)
        steps, eval_steps = make_steps(transforms, "transforms"), make_steps(eval_transforms, "eval_transforms")
        pattern = "train-*.tar" if training else "test-*.tar"
        images = TarImages(sorted(Path(data_dir).glob(pattern)))
        if len(images) == 0:
            raise FileNotFoundError(f"no image in {data_dir}/{pattern}")
        n_classes = int(images.target.max()) + 1
        self.fitted = fitted or {"classes": [str(number) for number in range(n_classes)], "n_images": len(images)}
        self.classes: list[str] = self.fitted["classes"]
        if n_classes > len(self.classes):
            raise ValueError(f"{data_dir} has class {n_classes - 1}; trained were 0 to {len(self.classes) - 1}")

        n_last = n_for_batches(transforms, eval_transforms)
        dataset, eval_dataset, collate = make_datasets(images, images.target, steps, eval_steps, n_last)
        super().__init__(
            dataset if training else eval_dataset,
            batch_size,
            training=training,
            eval_dataset=eval_dataset,
            collate_fn=collate,
            **options,
        )


class TarImages:
    """The images of some tar files by number, as bytes, (3, height, width).

    target: their class numbers, (images,). In memory are four numbers for each image.
    """

    def __init__(self, paths: Sequence[Path]):
        self.paths = paths
        places, classes = array("q"), array("q")  # for each image: which file, from which byte on, how many; its class
        for number, path in enumerate(paths):
            for start, size, label in _samples(path):
                places.extend((number, start, size))
                classes.append(label)
        self.places = torch.tensor(places).view(-1, 3)
        self.target = torch.tensor(classes)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Tensor:
        number, start, size = self.places[index].tolist()
        with self.paths[number].open("rb") as file:
            file.seek(start)
            return read_image(f"{self.paths[number]}, byte {start},", io.BytesIO(file.read(size)))


def _samples(path: Path) -> list[tuple[int, int, int]]:
    """Of each image in a tar file, its first byte, its size and its class, in order. Raises UserError."""
    places: dict[str, tuple[int, int]] = {}
    classes: dict[str, int] = {}
    try:
        with tarfile.open(path, "r:") as tar, path.open("rb") as file:
            for member in tar:
                key, _, extension = member.name.partition(".")
                file.seek(member.offset_data)
                if f".{extension}".lower() in EXTENSIONS:
                    places[key] = member.offset_data, member.size
                elif extension == "cls":
                    classes[key] = int(file.read(member.size))
            file.seek(-tarfile.BLOCKSIZE, io.SEEK_END)
            if file.read().strip(tarfile.NUL):  # a whole file ends with blocks of zeros
                raise ValueError("it is cut off")
    except (tarfile.TarError, ValueError) as error:
        raise UserError(f"{path} is damaged, or no tar file of images and classes: {error}") from error
    lonely = places.keys() ^ classes.keys()
    if lonely or min(classes.values(), default=0) < 0:
        key = min(lonely, default="") or min(classes, key=lambda key: classes[key])
        raise UserError(f"{path}: {key} needs an image and, as {key}.cls, its class number, from 0")
    return [(*place, classes[key]) for key, place in places.items()]
