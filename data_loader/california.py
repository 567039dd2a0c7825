"""California housing: 20,640 districts of the 1990 census, 8 features, the median house value to predict."""

import contextlib
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from base import BaseDataLoader, InMemoryDataset
from utils.data import split_indices

TEST_SHARE = 0.2
MAX_BYTES = 1 << 24  # of the unpacked file, which has 1.5 million
FILE_NAME = "cal_housing_py3.pkz"  # what scikit-learn makes of the download
SOURCE = "https://ndownloader.figshare.com/files/5976036"


class CaliforniaHousingDataLoader(BaseDataLoader):
    """Batches of (data, target): float32 (batch, 8) features and (batch, 1) median house values in 100,000 dollars.

    data_home: the folder that holds, or shall hold, scikit-learn's copy, cal_housing_py3.pkz.
    training: the training part; False: the test part, a fixed fifth of the districts.
    standardize: give every feature mean 0 and standard deviation 1 over the samples that are trained on; the validation
        and the test samples are scaled alike. False: the features as they are.
    download: fetch the data if they are not there.
    validation_split, options: those of BaseDataLoader.

    Raises FileNotFoundError when the data are missing and cannot be downloaded, ValueError when they are damaged.

    Source: R. Kelley Pace and Ronald Barry, "Sparse Spatial Autoregressions", 1997; `fetch_california_housing`.
    """

    feature_names = ("MedInc", "HouseAge", "AveRooms", "AveBedrms", "Population", "AveOccup", "Latitude", "Longitude")

    def __init__(
        self,
        data_home: str | Path,
        batch_size: int,
        training: bool = True,
        standardize: bool = True,
        download: bool = True,
        validation_split: float | int | str = 0.0,
        **options: Any,
    ):
        from sklearn.model_selection import train_test_split
        from sklearn.preprocessing import StandardScaler

        features, values = _read(Path(data_home), download)
        train_x, test_x, train_y, test_y = train_test_split(features, values, test_size=TEST_SHARE, random_state=0)
        data, target = (train_x, train_y) if training else (test_x, test_y)
        if standardize:
            groups, seed = options.get("groups"), options.get("split_seed", 0)
            trained_on, _ = split_indices(torch.arange(len(train_x)), validation_split, groups=groups, seed=seed)
            data = StandardScaler().fit(train_x[trained_on.numpy()]).transform(data)
        dataset = InMemoryDataset(torch.from_numpy(data).float(), torch.from_numpy(target).float().unsqueeze(1))
        super().__init__(dataset, batch_size, validation_split=validation_split, training=training, **options)


def _read(data_home: Path, download: bool) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import fetch_california_housing

    file = data_home / FILE_NAME
    if file.exists():
        try:
            return _features_and_values(_read_array(file.read_bytes()))
        except (OSError, ValueError, zlib.error) as error:
            raise ValueError(f"{file} cannot be read; delete it, and it is fetched again ({error})") from error
    new_folders = [folder for folder in (data_home, *data_home.parents) if download and not folder.exists()]
    try:
        if not download:
            raise OSError("nothing is downloaded")
        with warnings.catch_warnings(action="ignore"):  # it warns before it tries again; one message is enough
            fetched: Any = fetch_california_housing(data_home=data_home, return_X_y=True, n_retries=1)
            return fetched  # its SHA256 is right
    except OSError as error:
        for folder in new_folders:
            with contextlib.suppress(OSError):  # not there, or not empty
                folder.rmdir()
        raise FileNotFoundError(
            f"no California housing data in {data_home}: {file} is missing. Copy it there from a computer that has it, "
            f'name another data_home, or let "download": true fetch it over the network from {SOURCE} ({error}). With '
            "-r, which never downloads, name the config too: -c CONFIG"
        ) from error


def _read_array(content: bytes) -> np.ndarray:
    """The array of float64, (rows, 9), that joblib has written: a description, padding, the numbers, a full stop.

    joblib.load would run whatever code the file names, and a config can name a stranger's file.
    """
    if content.startswith(b"x"):
        content = zlib.decompressobj().decompress(content, max_length=MAX_BYTES)
    description, end, rest = content.partition(b"numpy_array_alignment_bytes\x94K\x10ub")
    numbers = rest[1 + rest[0] : -1] if rest else b""
    if not end or b"\x8c\x02f8\x94" not in description or not numbers or len(numbers) % (9 * 8):
        raise ValueError("it is not an array as joblib writes it since its version 1.2")
    order = "F" if b"\x8c\x05order\x94\x8c\x01F\x94" in description else "C"
    return np.frombuffer(numbers, "<f8").reshape(-1, 9, order=order)


def _features_and_values(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What `fetch_california_housing` makes of that array."""
    data = table[:, 1:].copy(order="K")
    data[:, 2] /= data[:, 5]  # rooms per household
    data[:, 3] /= data[:, 5]  # bedrooms per household
    data[:, 5] = data[:, 4] / data[:, 5]  # people per household
    return data, table[:, 0] / 100_000
