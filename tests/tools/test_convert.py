"""Checkpoints as the original template writes them, with an object of its own ConfigParser inside."""

import json
import sys
import types

import numpy as np
import pytest
import torch

from model.mlp import MLP
from tests.conftest import PROJECT
from tools import convert
from utils.checkpoint import load_checkpoint
from utils.errors import run_command

CONFIG = json.loads((PROJECT / "config.json").read_text())
CONFIG["arch"]["args"] = {"sizes": [64, 8, 10]}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MLP([64, 8, 10])


@pytest.fixture
def saved(tmp_path, model, monkeypatch):
    """`saved(**changes)`: such a checkpoint, and the config.json that lies beside it."""
    old_project = types.ModuleType("old_parse_config")

    class ConfigParser:
        def __reduce__(self):  # what loading it would run
            return (print, ("the old project's code runs",))

    old_project.ConfigParser = ConfigParser
    monkeypatch.setitem(sys.modules, "old_parse_config", old_project)

    def save(**changes):
        optimizer = torch.optim.Adam(model.parameters(), amsgrad=True)
        model(torch.rand(4, 64)).sum().backward()
        optimizer.step()
        state = {
            "arch": "MLP",
            "epoch": 7,
            "state_dict": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "monitor_best": np.float64(0.25),
            "config": ConfigParser(),
        }
        path = tmp_path / "old" / "model_best.pth"
        path.parent.mkdir(exist_ok=True)
        torch.save(state | changes, path)
        (path.parent / "config.json").write_text(json.dumps(CONFIG))
        return path

    return save


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_converted_checkpoint_is_tested(saved, model, evaluate, tmp_path, capsys, prefix):
    old = saved()
    if prefix:
        old = saved(state_dict={prefix + name: weight for name, weight in model.state_dict().items()})
    assert run_command(convert.main, [str(old), str(tmp_path / "new.pth")]) == 0
    printed = capsys.readouterr().out
    assert "old project's code" not in printed and "epoch 7" in printed
    checkpoint = load_checkpoint(tmp_path / "new.pth")
    assert checkpoint["epoch"] == 7
    for name, weight in model.state_dict().items():
        assert torch.equal(checkpoint["model"][name], weight)
    assert evaluate(tmp_path / "new.pth")["n_samples"] == 360


def test_what_cannot_be_converted_is_one_line(saved, refused, tmp_path, capsys):
    old, new = saved(), tmp_path / "new.pth"
    convert_to_new = ("tools/convert", old, new)
    assert "no such checkpoint" in refused("tools/convert", tmp_path / "old/none.pth", new)
    other = tmp_path / "other.json"
    other.write_text(json.dumps(CONFIG | {"arch": {"type": "MLP", "args": {"sizes": [64, 9, 10]}}}))
    assert "another architecture" in refused(*convert_to_new, "-c", other)
    other.write_text(json.dumps(CONFIG | {"arch": {"type": "TheirModel"}}))
    assert "arch.type" in refused(*convert_to_new, "-c", other)
    assert "no such file" in refused(*convert_to_new, "-c", tmp_path / "none.json")
    old.write_bytes(b"x")
    assert "no checkpoint that torch 1.6" in refused(*convert_to_new)
    torch.save([1], old)
    assert "no checkpoint of the original template" in refused(*convert_to_new)
    saved(state_dict={"a": sys.modules["old_parse_config"].ConfigParser()})
    assert "holds objects of the old project's code" in refused(*convert_to_new)
    assert not new.exists()
    new.write_bytes(b"mine")
    assert "exists" in refused("tools/convert", saved(), new)
    assert new.read_bytes() == b"mine" and "code runs" not in capsys.readouterr().out
