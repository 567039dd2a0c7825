import re
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.datasets import fetch_california_housing

from data_loader.california import FILE_NAME, CaliforniaHousingDataLoader, _read


def offline_settings(folder: Path) -> list[str]:
    """With which a config with this loader runs without a network: made-up districts in scikit-learn's file format."""
    joblib.dump(np.random.default_rng(0).uniform(1, 10, (500, 9)), folder / FILE_NAME)
    return [f"data_loader.args.data_home={folder}"]


@pytest.fixture
def data_home(shared_data):
    return shared_data / "california"


def everything(loader):
    data, target = zip(*loader, strict=True)
    return torch.cat(data), torch.cat(target)


def test_the_parts_are_disjoint_and_complete(data_home):
    train = CaliforniaHousingDataLoader(data_home, 1000, standardize=False, validation_split=0.1)
    test = CaliforniaHousingDataLoader(data_home, 1000, training=False, standardize=False)
    parts = [everything(part) for part in (train, train.split_validation(), test)]
    assert [len(data) for data, _ in parts] == [14861, 1651, 4128]
    assert all(data.shape[1] == 8 and target.shape == (len(data), 1) for data, target in parts)
    assert all(data.dtype == target.dtype == torch.float32 for data, target in parts)
    assert len(torch.cat([data for data, _ in parts]).unique(dim=0)) == 20640  # no two districts are alike


@pytest.mark.parametrize(("split", "groups"), [(0.1, None), ("2/5", [number // 400 for number in range(16512)])])
def test_features_are_standardized_over_the_samples_trained_on_alone(data_home, split, groups):
    options = {"shuffle": False, "validation_split": split, "split_seed": 1, "groups": groups}
    raw = CaliforniaHousingDataLoader(data_home, 1000, standardize=False, **options)
    loader = CaliforniaHousingDataLoader(data_home, 1000, **options)
    raw_train, raw_valid = everything(raw)[0].double(), everything(raw.split_validation())[0].double()
    train, valid = everything(loader)[0].double(), everything(loader.split_validation())[0].double()

    torch.testing.assert_close(train.mean(0), torch.zeros(8).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(train.std(0, correction=0), torch.ones(8).double(), rtol=0, atol=1e-5)
    mean, std = raw_train.mean(0), raw_train.std(0, correction=0)
    torch.testing.assert_close(valid, (raw_valid - mean) / std, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("validation_split", [0.0, 0.1])
def test_the_test_part_is_whole_and_scaled_like_the_samples_trained_on(validation_split, data_home):
    def part(training, standardize):
        split = {"validation_split": validation_split, "shuffle": False}
        return everything(CaliforniaHousingDataLoader(data_home, 1000, training, standardize, **split))[0].double()

    raw_train, raw_test, test = part(True, False), part(False, False), part(False, True)
    assert len(test) == 4128
    mean, std = raw_train.mean(0), raw_train.std(0, correction=0)
    torch.testing.assert_close(test, (raw_test - mean) / std, rtol=0, atol=1e-3)


@pytest.mark.parametrize("download", [False, True])
def test_missing_data_is_one_message_with_the_folder_the_file_and_what_to_do(download, tmp_path, monkeypatch, recwarn):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody answers there: no network
    folder = tmp_path / "data" / "california"
    with pytest.raises(FileNotFoundError) as caught:
        CaliforniaHousingDataLoader(folder, batch_size=100, download=download)
    message = str(caught.value)
    assert "\n" not in message and not recwarn.list
    assert all(part in message for part in (str(folder / "cal_housing_py3.pkz"), "download", "data_home", "https://"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("compress", [0, 6])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_file_is_read_as_by_scikit_learn_and_without_unpickling_it(compress, order, tmp_path):
    districts = np.random.default_rng(0).uniform(1, 10, (500, 9))
    joblib.dump(np.asarray(districts, order=order), tmp_path / FILE_NAME, compress=compress)
    expected = fetch_california_housing(data_home=tmp_path, download_if_missing=False, return_X_y=True)
    for part, values in zip(_read(tmp_path, download=False), expected, strict=True):
        assert part.dtype == values.dtype and np.array_equal(part, values)


@pytest.mark.parametrize("keep", [0, 1, 100, 100_000])
def test_a_damaged_file_is_named(keep, data_home, tmp_path):
    file = tmp_path / "cal_housing_py3.pkz"
    file.write_bytes((data_home / file.name).read_bytes()[:keep])
    with pytest.raises(ValueError, match=re.escape(f"{file} cannot be read; delete it")):
        CaliforniaHousingDataLoader(tmp_path, batch_size=100)
