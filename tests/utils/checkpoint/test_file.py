import io
import os
import pickle
import random
import zipfile
from collections import Counter

import numpy as np
import pytest
import torch

from utils.checkpoint import load_checkpoint, open_checkpoint, save_checkpoint, trained_weights
from utils.checkpoint.state import snapshot
from utils.errors import UserError


def state(epoch: int = 1, **more) -> dict:
    return {"model": {"w": torch.full((3,), float(epoch))}, "optimizer": {}, "lr_scheduler": None, "config": {},
            "epoch": epoch, "step": 10 * epoch, **more}  # fmt: skip


def test_what_is_saved_is_loaded(tmp_path):
    more = {"nested": [1, (2.5, "가"), {"a": None, 3: True}], "milestones": Counter({2: 1}), "inf": float("inf")}
    save_checkpoint(snapshot(state(**more)), tmp_path / "c.pth")
    loaded = load_checkpoint(tmp_path / "c.pth")
    assert torch.equal(loaded["model"]["w"], torch.ones(3))
    assert {key: loaded[key] for key in more} == more
    assert [path.name for path in tmp_path.iterdir()] == ["c.pth"]


def test_a_snapshot_is_not_changed_by_later_steps():
    weight = torch.zeros(2, requires_grad=True)
    kept = snapshot({"w": weight, "l": [weight]})
    weight.data.add_(1)
    assert kept["w"].tolist() == kept["l"][0].tolist() == [0, 0]
    assert not kept["w"].requires_grad


@pytest.mark.parametrize("value", [np.float64(1), np.zeros(2), object(), {1}, lambda: 0])
def test_what_could_not_be_loaded_is_not_saved(value):
    with pytest.raises(TypeError, match=r"a\.b: a .* cannot be kept, only tensors and plain"):
        snapshot({"a": {"b": [value]}})


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "c.pth"
    save_checkpoint(state(1), path)

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(state(2), path)
    assert load_checkpoint(path)["epoch"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["c.pth"]


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    place = content.index(torch.ones(3).numpy().tobytes())
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def marked_as_folder(content: bytes) -> bytes:
    place = content.index(b"PK\1\2") + 38  # of the first record in the archive's directory
    return content[:place] + b"\x10" + content[place + 1 :]


def after_the_old_format(content: bytes) -> bytes:
    """torch goes by what a file begins as, zipfile by how it ends: the part that is checked is not the one loaded."""
    old = io.BytesIO()
    torch.save(state(9), old, _use_new_zipfile_serialization=False)
    return old.getvalue() + content


@pytest.mark.parametrize("damage", [truncated, flipped, marked_as_folder, after_the_old_format,
                                    lambda c: c + c, lambda c: b"", lambda c: b"not a zip",
                                    lambda c: c[:-1]])  # fmt: skip
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "c.pth"
    save_checkpoint(state(1), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"c\.pth is damaged or not a checkpoint"):
        load_checkpoint(path)


def test_an_archive_that_another_tool_has_written_is_loaded(tmp_path):
    save_checkpoint(state(7), tmp_path / "c.pth")
    with zipfile.ZipFile(tmp_path / "c.pth") as ours, zipfile.ZipFile(tmp_path / "theirs.pth", "w") as theirs:
        for name in ours.namelist():
            theirs.writestr(name, ours.read(name))  # with the permissions of a file
    assert load_checkpoint(tmp_path / "theirs.pth")["epoch"] == 7


def check_flips(path, n_flips: int | None) -> None:
    """One bit flipped, at random places or at every one: it is noticed, or it changes nothing that is loaded."""
    save_checkpoint(state(1, optimizer={"m": torch.arange(7.0)}), path)
    content, expected = path.read_bytes(), repr(load_checkpoint(path))
    places = range(8 * len(content))
    noticed = 0
    for place in places if n_flips is None else random.Random(0).sample(places, n_flips):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            assert repr(load_checkpoint(path)) == expected, f"bit {place}"
        except UserError:
            noticed += 1
    assert noticed > len(places if n_flips is None else range(n_flips)) / 3  # the rest is padding between records


def test_a_flipped_bit_is_noticed_or_harmless(tmp_path):
    check_flips(tmp_path / "c.pth", n_flips=300)


@pytest.mark.crash
def test_every_flipped_bit_is_noticed_or_harmless(tmp_path):
    check_flips(tmp_path / "c.pth", n_flips=None)


class Evil:
    def __reduce__(self):
        return os.system, ("touch hacked",)


def test_a_checkpoint_cannot_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(state(1, evil=Evil()), "evil.pth")
    with pytest.raises(UserError, match="cannot be loaded safely"):
        load_checkpoint(tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match="damaged or not a checkpoint"):
        load_checkpoint(tmp_path / "plain.pth")
    assert {path.name for path in tmp_path.iterdir()} == {"evil.pth", "plain.pth"}


@pytest.mark.parametrize("content", [[1], {"model": {}}, {**state(), "config": 3}, state(step="1"), torch.ones(1)])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(UserError, match="is not a checkpoint of this template"):
        load_checkpoint(tmp_path / "c.pth")


def test_of_a_run_the_last_is_taken_else_the_intact_one_of_the_most_steps(tmp_path, caplog):
    steps = {"checkpoint-last.pth": 8, "model_best.pth": 10, "checkpoint-epoch10.pth": 9, "checkpoint-epoch9.pth": 7}
    for name, step in steps.items():
        save_checkpoint(state(step=step), tmp_path / name)
    assert open_checkpoint(tmp_path, prefer_best=True)[0].name == "model_best.pth"
    for name in steps:  # the last, then by their steps
        path, checkpoint = open_checkpoint(tmp_path)
        assert (path.name, checkpoint["step"]) == (name, steps[name])
        path.write_bytes(truncated(path.read_bytes()))
    with pytest.raises(UserError, match=r"holds no checkpoint .* that is intact"):
        open_checkpoint(tmp_path)
    assert "checkpoint-last.pth is damaged" in caplog.text


def test_an_average_counts_once_something_was_averaged():
    average = {"n_averaged": torch.tensor(0), "module.w": torch.zeros(3)}
    assert trained_weights(state(ema=average))["w"].tolist() == [1, 1, 1]
    assert trained_weights(state(ema=average | {"n_averaged": torch.tensor(2)}))["w"].tolist() == [0, 0, 0]


def test_a_long_history_of_small_values_is_loaded(tmp_path):
    history = {"none": [None] * 60_000, "flags": [True] * 60_000, "ints": [0] * 60_000, "pairs": [(1, 2)] * 40_000}
    save_checkpoint(snapshot(state(history=history)), tmp_path / "c.pth")
    assert load_checkpoint(tmp_path / "c.pth")["history"] == history
