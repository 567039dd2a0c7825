"""MNIST for the tests that need it: made up, in the real file format."""

from pathlib import Path

import pytest

from tests.data_loader.test_mnist import make_mnist


@pytest.fixture(scope="session")
def fake_mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data_dir of made-up MNIST."""
    return make_mnist(tmp_path_factory.mktemp("data"))
