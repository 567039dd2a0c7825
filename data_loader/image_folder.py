"""Images in folders, one folder per class.

data_dir/train/<class>/*.jpg    to train on; these folders are the classes, numbered in alphabetical order
data_dir/test/<class>/*.jpg     for test.py, with the same classes

or data_dir/<class>/*.jpg       a part of which is kept for test.py
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from base import BaseDataLoader
from data_loader.images.cache import ImageCache, open_cache
from data_loader.images.dataset import Collate, ImageDataset, check_fitted, for_evaluation, make_datasets
from data_loader.images.files import class_folders, images_of_classes, list_images, read_image, require_images
from data_loader.images.transform import Entries, make_steps, n_fixed, n_for_batches, shape_of_all, to_floats
from utils.data import split_indices
from utils.errors import UserError

logger = logging.getLogger(__name__)


class ImageFolderDataLoader(BaseDataLoader):
    """Batches of (data, target): float32 (batch, 3, height, width) and int64 (batch,).

    data_dir: the folder with train/ and test/ in it, or with a folder for each class.
    training: the images to train on; False: those to test on.
    transforms: transforms of torchvision.transforms.v2, in order, as {"type": "Resize", "args": {"size": [64, 64]}}.
    eval_transforms: the same for validation and test, without augmentation; by default `transforms`.
    test_size: where there is no train/, the share of the images that is the test part, always the same ones, with the
        same share of each class.
    cache: keep decoded images for the next epoch and the next run, in the folder of torch.hub; False: add none there.
    options: those of BaseDataLoader.

    Images are read as RGB. They are bytes until the first Normalize, and float32 in [0, 1] from there on. Kept is what
    the transforms make of an image with which both lists begin, up to the first random one, if it has one size then.
    Files are listed when the loader is made, but opened when they are needed: UserError names one that cannot be read.
    Raises FileNotFoundError for a missing folder or a class without images; ValueError for a class that was not
    trained, and a transform that does not exist or does not work.
    """

    def __init__(
        self,
        data_dir: str | Path,
        batch_size: int,
        training: bool = True,
        transforms: Sequence[dict[str, Any]] = (),
        eval_transforms: Sequence[dict[str, Any]] | None = None,
        test_size: float = 0.2,
        cache: bool = True,
        fitted: dict[str, Any] | None = None,
        whole: bool = False,
        **options: Any,
    ):
        if not 0 < test_size < 1:
            raise ValueError(f"test_size: {test_size} is not a share between 0 and 1")
        if fitted:
            check_fitted(fitted)
        eval_transforms = for_evaluation(transforms, eval_transforms)
        steps, eval_steps = make_steps(transforms, "transforms"), make_steps(eval_transforms, "eval_transforms")

        # ---- the images of the three parts
        root = Path(data_dir)
        is_split = (root / "train").is_dir() and class_folders(root / "train") != []
        self.classes: list[str] = fitted["classes"] if fitted else _classes(root / "train" if is_split else root)
        folder = root / ("train" if training else "test") if is_split else root
        if not folder.is_dir():
            raise FileNotFoundError(f"no folder {folder}: put the images in {root}/train/<class>/ and "
                                    f"{root}/test/<class>/, or all of them in {root}/<class>/")  # fmt: skip
        files, numbers = images_of_classes(folder, self.classes, below=is_split)
        target = torch.tensor(numbers)
        if training and (missing := set(range(len(self.classes))) - set(numbers)):
            names = ", ".join(self.classes[number] for number in sorted(missing))
            raise FileNotFoundError(f"no image of {names} in {folder}; remove the empty folders")
        self.fitted = fitted or {"classes": self.classes, "n_images": len(files)}
        if not (is_split or whole):
            if len(files) != self.fitted["n_images"] and not training:
                words = "%s has %d images, and had %d in the training: the test part is another one now, and images of "
                words += "it may have been trained on."
                logger.warning(words, root, len(files), self.fitted["n_images"])
            train_rows, test_rows = split_indices(torch.arange(len(files)), float(test_size), target)
            rows = train_rows if training else test_rows
            files, target = [files[row] for row in rows.tolist()], target[rows]

        # ---- what is done to them: first what needs to be done only once, last what can be done to a whole batch
        n, n_last = n_fixed(transforms, eval_transforms), n_for_batches(transforms, eval_transforms)
        images = Images(files, steps[:n])
        dataset, eval_dataset, collate = make_datasets(images, target, steps[n:], eval_steps[n:], n_last)
        if training and n and (shape := shape_of_all(steps[:n])):
            images.cache = open_cache(files, transforms[:n], shape, cache)
        super().__init__(
            dataset if training else eval_dataset,
            batch_size,
            training=training,
            eval_dataset=eval_dataset,
            collate_fn=collate,
            **options,
        )

    @staticmethod
    def require_readable(data_dir: str | Path) -> None:
        """Decode every image. Raises ConfigError, naming each that cannot be read."""
        require_images(Path(data_dir))

    @classmethod
    def read_inputs(
        cls,
        fitted: dict[str, Any],
        source: str | Path | Sequence[str | Path],
        transforms: Entries = (),
        eval_transforms: Entries | None = None,
        **others: Any,
    ) -> tuple[Tensor, list[str], list[str], dict[int, str]]:
        """New images as a model's input: a file, several, or all in a folder.

        The other arguments are those that the loader was made with; some do not matter here.
        Returns the batch, float32 (images, 3, height, width); the path of each image; in words what cannot be read;
        and notes on those that can be, which there are none of.
        Raises ValueError if nothing can be read, and UserError for images of different sizes.
        """
        check_fitted(fitted)
        sources = [source] if isinstance(source, str | Path) else source
        paths = [path for one in sources for path in _paths(Path(one))]
        steps = make_steps(transforms if eval_transforms is None else eval_transforms, "eval_transforms")
        dataset = ImageDataset(Images(paths, ()), torch.zeros(len(paths)), steps)
        images, names, problems = [], [], []
        for number, path in enumerate(paths):
            try:
                images.append(dataset[number])
                names.append(path)
            except UserError as error:
                problems.append(str(error))
        if not images:
            raise ValueError("; ".join(problems[:5]) or f"no image in {', '.join(map(str, sources))}")
        return Collate(to_floats(()))(images)[0], names, problems, {}


class Images:
    """Image files by number, as bytes, (3, height, width), after some transforms; from a cache where there is one."""

    def __init__(self, paths: list[str], steps: Sequence[Callable[[Tensor], Tensor]], cache: ImageCache | None = None):
        self.paths, self.steps, self.cache = paths, steps, cache

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        return self.cache.get(index, self._decode) if self.cache else self._decode(index)

    def _decode(self, index: int) -> Tensor:
        image = read_image(self.paths[index])
        for step in self.steps:
            image = step(image)
        return image


def _classes(folder: Path) -> list[str]:
    """The classes to train. Raises FileNotFoundError if there are none, and ValueError for one only."""
    classes = class_folders(folder) if folder.is_dir() else []
    if not classes:
        raise FileNotFoundError(f"no folder for a class in {folder}: put the images in {folder}/<class>/")
    if len(classes) == 1:
        raise ValueError(f"{folder} has one class only, {classes[0]!r}; there is nothing to tell apart")
    return classes


def _paths(source: Path) -> list[str]:
    return list_images(source) if source.is_dir() else [str(source)]
