"""Decoded images, kept in a file of the user's cache folder from one epoch, and one run, to the next."""

import hashlib
import json
import logging
import os
import shutil
import time
import weakref
import zlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

CHECK = 8  # bytes behind each image: a checksum of it, and of the size and the age of its file
DAYS = 30  # after which what was not used is deleted

logger = logging.getLogger(__name__)


class ImageCache:
    """Images of one shape as bytes, each followed by its checksum; they are added as they come.

    Several processes may read and add at once: all add the same. A killed process, a full disk, a power cut and a file
    that has changed leave nothing behind that could be taken for an image: its checksum is wrong; it is decoded anew.

    path: an existing file of `n_bytes`. files: the images'. is_open: whether images may be added.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], files: Sequence[str], is_open: bool):
        self.path, self.shape, self.files, self.is_open = path, shape, files, is_open
        self.size = int(np.prod(shape))
        self.is_checked = bytearray(len(files))  # by this process

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageCache, (self.path, self.shape, self.files, self.is_open)  # no process takes over another's file

    @cached_property
    def _file(self) -> int:
        file = os.open(self.path, os.O_RDWR if self.is_open else os.O_RDONLY)
        weakref.finalize(self, os.close, file)
        return file

    def get(self, index: int, decode: Callable[[int], Tensor]) -> Tensor:
        """The image with this number; decoded and kept, if it was not or its file has changed."""
        found = np.empty(self.size + CHECK, np.uint8)
        n_bytes = os.preadv(self._file, [found.data], index * len(found))
        image = found[: self.size]
        if not self.is_checked[index]:
            state = _state(self.files[index])
            if n_bytes < len(found) or found[self.size :].tobytes() != _checksum(image, state):
                new = decode(index)
                self._add(index, new, state)
                return new
            self.is_checked[index] = True
        return torch.from_numpy(image).view(self.shape)

    def _add(self, index: int, image: Tensor, state: bytes) -> None:
        if not self.is_open:
            return
        data = image.contiguous().numpy().reshape(-1)
        try:
            os.pwrite(self._file, data.tobytes() + _checksum(data, state), index * (self.size + CHECK))
        except OSError as error:
            logger.warning("Decoded images are no longer kept: %s", error)
            self.is_open = False


def _state(file: str) -> bytes:
    """By what a change of a file is noticed. Empty without one; whoever reads it says so."""
    try:
        status = Path(file).stat()
    except OSError:
        return b""
    return f"{status.st_size} {status.st_mtime_ns}".encode()


def _checksum(image: np.ndarray, state: bytes) -> bytes:
    checksum = zlib.crc32(image.data, zlib.crc32(state))
    return (checksum | 1 << 32).to_bytes(CHECK, "little")  # never that of a hole, which is zeros


def open_cache(
    files: Sequence[str], transforms: Sequence[dict], shape: tuple[int, ...], may_add: bool
) -> ImageCache | None:
    """The cache of these files with these transforms, which make images of this shape; None if there can be none.

    may_add: False to use only what is there.
    """
    name = hashlib.blake2b(_versions(transforms).encode(), digest_size=16)
    name.update("\0".join([str(Path(files[0]).absolute()), *files]).encode())
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
    return ImageCache(path, shape, files, may_add)


def _versions(transforms: Sequence[dict]) -> str:
    import PIL
    import torchvision

    return json.dumps([2, torch.__version__, torchvision.__version__, PIL.__version__, list(transforms)])


def _delete_unused(folder: Path) -> None:
    for path in folder.glob("*.bin"):
        if path.stat().st_mtime < time.time() - DAYS * 24 * 3600:
            path.unlink(missing_ok=True)
