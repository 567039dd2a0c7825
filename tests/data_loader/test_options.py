import pytest

from utils.config import definitions

LOADERS = [name for name, found in definitions("data_loader").items() if found.is_a("BaseDataLoader")]


@pytest.mark.parametrize("name", LOADERS)
def test_every_loader_takes_the_options_of_the_base_class(name):
    parameters, _ = definitions("data_loader")[name].parameters
    assert {"batch_size", "shuffle", "num_workers", "len_epoch", "balanced"} <= parameters.keys()
