"""The data loaders that a config names. What was learnt from the training data is given to all of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from base import BaseDataLoader
from data_loader.fingerprint import fingerprint
from data_loader.sizes import fill_sizes, fill_weights
from utils.checkpoint import differences
from utils.config import definitions
from utils.errors import ConfigError

SOURCES = ("type", "args.path", "args.data_dir")  # of a data loader: where its samples come from


def build_loaders(config: Any) -> tuple[BaseDataLoader, BaseDataLoader | None]:
    """The data to train and to validate with. What they decide in the config, such as sizes, is filled in."""
    data_loader = _build(config, "data_loader")
    fill_sizes(config.config, data_loader)
    fill_weights(config.config, data_loader)
    return data_loader, _build(config, "valid_data_loader", data_loader.fitted) or data_loader.split_validation()


def build_test_loader(config: Any) -> BaseDataLoader:
    """The data to test on, every sample once: `test_data_loader`, else `data_loader` with `training=False`."""
    key = "test_data_loader" if config["test_data_loader"] else "data_loader"
    config.other_data = _other_source(config, key)
    loader = _build(config, key, training=False, whole=config.other_data != "")
    if loader.training:
        raise ConfigError("data_loader.type", ["hand `training` on: super().__init__(..., training=training)"])
    if fingerprint(loader) == _trained_on(config).get("fingerprint"):
        raise ConfigError(
            "data_loader.type", ["with training=False it must hand out other samples than the training's, for the test"]
        )
    fill_sizes(config.config, loader)
    return loader


def _other_source(config: Any, key: str) -> str:
    """The name of the file or folder that a key names, if it is not that of the checkpoint's config; else ""."""
    then = config.checkpoint["config"].get(key) if config.checkpoint else config[key]
    changes = differences(then or {}, config[key])
    return next((Path(str(value)).resolve().stem for place, (_, value) in changes.items() if place in SOURCES), "")


def _build(config: Any, key: str, fitted: Mapping[str, Any] | None = None, **given: Any) -> Any:
    """The data loader that a key names, or None, with what was `fitted` in training (or the checkpoint's)."""
    if config[key] is None:
        return None
    given["fitted"] = fitted or _trained_on(config).get("fitted", {} if config.checkpoint else None)
    given |= {} if key == "data_loader" else {"training": False, "whole": True}
    known = definitions("data_loader")[config[key]["type"]].parameters[0]
    if given.get("whole") and "fitted" in known and not given["fitted"]:
        raise ConfigError(key, ["nothing is known of what was learnt from the training data; train anew"])
    return config.init_obj(key, **{name: value for name, value in given.items() if name in known})


def _trained_on(config: Any) -> dict[str, Any]:
    """What the checkpoint says of its training data: `fitted` and `fingerprint`, or nothing."""
    return (config.checkpoint or {}).get("data", {})
