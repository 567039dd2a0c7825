"""config.schema.json, which an editor reads, is what the code says, and says no more than the check of train.py."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tools.reference import SCHEMA
from tools.schema import config_schema
from utils.config import apply_settings, checked, read_json
from utils.errors import ConfigError

PROJECT = Path(__file__).resolve().parents[2]
CONFIGS = [PROJECT / "config.json", *sorted((PROJECT / "configs").glob("*.json"))]
OF_TORCH = ("optimizer", "lr_scheduler", "loss")  # other versions of torch have other arguments


@pytest.fixture(scope="module")
def faults() -> Callable[[dict], list[str]]:
    validator = pytest.importorskip("jsonschema").Draft7Validator(config_schema())
    return lambda config: [error.json_path for error in validator.iter_errors(config)]


def test_the_file_is_up_to_date():
    written, now = json.loads(SCHEMA.read_text(encoding="utf-8")), json.loads(json.dumps(config_schema()))
    if written["$comment"] != now["$comment"]:
        for part in (written, now):
            del part["$comment"]
            for key in OF_TORCH:
                del part["properties"][key]
                part["definitions"].pop(key, None)
    assert written == now, "run `python -m tools.reference`"
    assert torch.__version__.startswith(config_schema()["$comment"].removeprefix("of torch "))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_names_it_and_is_right(faults, path):
    config = read_json(path)
    assert (path.parent / config["$schema"]).resolve() == SCHEMA
    assert faults(config) == []


@pytest.mark.parametrize(
    ("setting", "where"),
    [
        ("nmae=x", "$"),
        ("name=a/b", "$.name"),
        ("n_gpu=-1", "$.n_gpu"),
        ("threads=0", "$.threads"),
        ("arch.type=MPL", "$.arch.type"),
        ("arch.args.dropot=0.5", "$.arch.args"),
        ("arch.args.dropout=much", "$.arch.args.dropout"),
        ('arch.args={"dropout": 0.5}', "$.arch.args"),
        ("data_loader.args.batch_size=0", "$.data_loader.args.batch_size"),
        ("data_loader.args.validation_split=2.5", "$.data_loader.args.validation_split"),
        ("optimizer.args.lr=-1", "$.optimizer.args.lr"),
        ("optimizer.type=LBFGS", "$.optimizer.type"),
        ("loss=cross_entrpy", "$.loss"),
        ("metrics=accuracy", "$.metrics"),
        ('metrics=["acuracy"]', "$.metrics[0]"),
        ("lr_scheduler.args.T_max=0", "$.lr_scheduler"),
        ("trainer.epoch=3", "$.trainer"),
        ("trainer.amp=half", "$.trainer.amp"),
        ("trainer.monitor=minimum val_loss", "$.trainer.monitor"),
        ("trainer.ema=1", "$.trainer.ema"),
        ('trainer={"monitor": "off"}', "$.trainer"),
    ],
)
def test_what_it_refuses_the_check_refuses(faults, setting, where):
    config = read_json(PROJECT / "config.json")
    apply_settings(config, [setting])
    assert faults(config) == [where]
    with pytest.raises(ConfigError):
        checked(config, "config.json")


@pytest.mark.parametrize(
    "setting",
    [
        "_comment=why",
        "arch.args._comment=[1]",
        'optimizer.groups={"layers": {"lr": 0.1}}',
        'optimizer.freeze=["layers.0"]',
        "trainer._note=x",
        'loss={"a": {"type": "MSELoss"}, "b": {"type": "nll_loss"}, "_c": 1}',
    ],
)
def test_what_it_takes_the_check_takes(faults, setting):
    config = read_json(PROJECT / "config.json")
    apply_settings(config, [setting])
    assert faults(config) == []
    assert "_" not in str(checked(config, "config.json").get("_comment"))


def test_several_by_name_are_checked_each(faults):
    config = read_json(PROJECT / "configs/digits_gan.json")
    config["arch"]["generator"]["args"]["sizs"] = 1
    assert faults(config) == ["$.arch.generator.args"]


def test_a_name_is_explained():
    properties = config_schema()["properties"]
    assert properties["trainer"]["properties"]["ema"]["description"].startswith("validate and test a moving average")
    [mlp] = [
        part["then"]
        for part in config_schema()["definitions"]["arch"]["allOf"]
        if part["if"]["properties"]["type"]["const"] == "MLP"
    ]
    assert mlp["properties"]["args"]["required"] == ["sizes"]
    assert mlp["properties"]["args"]["properties"]["dropout"]["default"] == 0.0
