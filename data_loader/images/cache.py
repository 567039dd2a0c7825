"""Decoded images, kept in a file of the user's cache folder from one epoch, and one run, to the next."""

import hashlib
import json
import logging
import os
import shutil
import time
import weakref
import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data_loader.images.files import ImageFile

CHECK = 8  # bytes behind each image: its checksum
DAYS = 30  # after which what was not used is deleted

logger = logging.getLogger(__name__)


class ImageCache:
    """Images of one shape as bytes, each followed by its checksum; they are added as they come.

    Several processes may read and add at once: all add the same. A killed process, a full disk or a power cut leave
    nothing behind that could be taken for an image: its checksum would be wrong, and it is decoded anew.

    path: an existing file of `n_bytes`. is_open: whether images may be added.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], n_images: int, is_open: bool):
        self.path, self.shape, self.n_images, self.is_open = path, shape, n_images, is_open
        self.size = int(np.prod(shape))
        self.is_checked = bytearray(n_images)  # by this process

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageCache, (self.path, self.shape, self.n_images, self.is_open)  # no process takes over another's file

    @cached_property
    def _file(self) -> int:
        file = os.open(self.path, os.O_RDWR if self.is_open else os.O_RDONLY)
        weakref.finalize(self, os.close, file)
        return file

    def get(self, index: int) -> Tensor | None:
        """An image, or None if it was not added."""
        found = np.empty(self.size + CHECK, np.uint8)
        if os.preadv(self._file, [found.data], index * len(found)) < len(found):
            return None
        image = found[: self.size]
        if not self.is_checked[index]:
            if found[self.size :].tobytes() != _checksum(image):
                return None
            self.is_checked[index] = True
        return torch.from_numpy(image).view(self.shape)

    def add(self, index: int, image: Tensor) -> None:
        """Keep an image."""
        if not self.is_open:
            return
        data = image.contiguous().numpy().reshape(-1)
        try:
            os.pwrite(self._file, data.tobytes() + _checksum(data), index * (self.size + CHECK))
        except OSError as error:
            logger.warning("Decoded images are no longer kept: %s", error)
            self.is_open = False


def _checksum(image: np.ndarray) -> bytes:
    return (zlib.crc32(image.data) | 1 << 32).to_bytes(CHECK, "little")  # never that of a hole, which is zeros


def open_cache(
    files: Sequence[ImageFile], transforms: Sequence[dict], shape: tuple[int, ...], may_add: bool
) -> ImageCache | None:
    """The cache of these files with these transforms, which make images of this shape; None if there can be none.

    may_add: False to use only what is there.
    """
    name = hashlib.blake2b(_versions(transforms).encode(), digest_size=16)
    name.update(str(Path(files[0].path).absolute()).encode())
    name.update("\0".join(f"{path}\0{size}\0{changed}" for path, size, changed in files).encode())
    folder = Path(torch.hub.get_dir()).parent / "decoded_images"
    path, n_bytes = folder / f"{name.hexdigest()}.bin", (int(np.prod(shape)) + CHECK) * len(files)
    try:
        if may_add and not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _delete_unused(folder)
            if n_bytes > shutil.disk_usage(folder).free // 2:
                logger.info("Decoded images are not kept: they would take half of the space that is left in %s", folder)
                return None
            with path.open("ab") as file:  # two processes may do so at once
                file.truncate(n_bytes)
            logger.info("Decoded images are kept in %s, %.4g MB", path, n_bytes / 1e6)
        if not hasattr(os, "preadv") or path.stat().st_size != n_bytes:
            return None
        if may_add:
            os.utime(path)
    except OSError as error:
        if may_add:
            logger.info("Decoded images are not kept: %s", error)
        return None
    return ImageCache(path, shape, len(files), may_add)


def _versions(transforms: Sequence[dict]) -> str:
    import PIL
    import torchvision

    return json.dumps([1, torch.__version__, torchvision.__version__, PIL.__version__, list(transforms)])


def _delete_unused(folder: Path) -> None:
    for path in folder.glob("*.bin"):
        if path.stat().st_mtime < time.time() - DAYS * 24 * 3600:
            path.unlink(missing_ok=True)
