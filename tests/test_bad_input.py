"""What a person can get wrong: exit code 2, one clear message, no traceback, nothing written."""

import json
from pathlib import Path

import pytest
import torch

from tests.conftest import EXAMPLE
from train import main as train_main
from utils.config import read_json
from utils.errors import run_command

CONFIG = read_json(EXAMPLE)
ARCH = CONFIG["arch"]["type"]
LOADER = CONFIG["data_loader"]["type"]

# (what to set, words of the message)
SETTINGS = {
    "unknown key": (["extra=1"], ["extra: unknown key", "known are"]),
    "unknown key in a section": (["trainer.epoch=3"], ["trainer.epoch: unknown option of", "did you mean 'epochs'?"]),
    "a trainer's key at the top": (["epochs=3"], ["epochs: unknown key, did you mean 'trainer.epochs'?"]),
    "a right name at the wrong place": (["schedule_per=step"], ["did you mean 'trainer.schedule_per'?"]),
    "what no config can say": (["data_loader.args.collate_fn=x"], ["data_loader.args.collate_fn: "]),
    "an argument beside type": (["optimizer.lr=1"], ["optimizer.lr: unknown key; known are type, args"]),
    "a name for a type": (['loss={"name": "x"}'], ["loss.name: unknown key; known are", "loss.type: missing"]),
    "a seed too large": (["seed=4294967296"], ["seed: 4294967296 is not an integer >= 0 and <= 4294967295"]),
    "validation_split of 1.0": (["data_loader.args.validation_split=1.0"], ["validation_split: 1.0 is not"]),
    "unknown key beside type and args": (["arch.arg={}"], ["arch.arg: unknown key, did you mean 'args'?"]),
    "wrong type of value": (["trainer.epochs=three"], ['trainer.epochs: "three" is not an integer >= 1']),
    "a number for a flag": (["trainer.tensorboard=1"], ["trainer.tensorboard: 1 is not true or false"]),
    "no epochs": (["trainer.epochs=0"], ["trainer.epochs: 0 is not an integer >= 1"]),
    "a fraction of an epoch": (["trainer.save_period=0.5"], ["trainer.save_period: 0.5 is not an integer >= 1"]),
    "a section that is no object": (["trainer=5"], ["trainer: 5 is not an object"]),
    "an object that is a name": (["optimizer=Adam"], ['optimizer: "Adam" is not {"type": ..., "args": {...}}']),
    "an object without type": (['arch={"args": {}}'], ["arch.type: missing"]),
    "args that are no object": (["arch.args=[1]"], ["arch.args: [1] is not an object"]),
    "a name with a path in it": (["name=../x"], ['name: "../x" is not a folder\'s name']),
    "a seed below 0": (["seed=-1"], ["seed: -1 is not an integer >= 0"]),
    "unknown model": ([f"arch.type={ARCH}x"], ["arch.type: ", "is no BaseModel", f"did you mean '{ARCH}'?"]),
    "unknown loader": ([f"data_loader.type={LOADER}s"], ["data_loader.type: ", f"did you mean '{LOADER}'?"]),
    "unknown optimizer": (["optimizer.type=Adamm"], ["is no Optimizer", "did you mean 'Adam", "torch.optim has"]),
    "right name, wrong case": (["optimizer.type=sgd"], ["optimizer.type: ", "did you mean 'SGD'?"]),
    "unknown scheduler": (['lr_scheduler={"type": "StepLr"}'], ["lr_scheduler.type: ", "did you mean 'StepLR'?"]),
    "unknown loss": (["loss=cross_entropi"], ["loss.type: ", "did you mean 'cross_entropy'?"]),
    "argument of a loss": (['loss={"type": "HuberLoss", "args": {"delt": 1}}'],
                           ["loss.args.delt: ", "did you mean 'delta'?"]),
    "class weights": (['loss={"type": "cross_entropy", "args": {"weight": "balancd"}}'],
                      ["loss.args.weight: ", 'is not "balanced" or a list of numbers or a number or null']),
    "unknown metric": (['metrics=["acuracy"]'], ["metrics.0.type: ", "did you mean 'accuracy'?"]),
    "a metric twice": (['metrics=["accuracy", "accuracy"]'], ["two columns of the log have one name"]),
    "metrics that are no list": (["metrics=accuracy"], ['metrics: "accuracy" is not a list']),
    "unknown trainer": (["trainer.type=Trainr"], ["trainer.type: ", "did you mean 'Trainer'?"]),
    "a type by its path": (["arch.type=os.system"], ['arch.type: "os.system" is no BaseModel']),
    "wrong constructor argument": (["optimizer.args.learning_rate=1"], ["learning_rate: unknown argument"]),
    "wrong argument of the loader": (["data_loader.args.suffle=true"], ["did you mean 'shuffle'?"]),
    "missing constructor argument": (['lr_scheduler={"type": "StepLR"}'], ["lr_scheduler.args.step_size: missing"]),
    "wrong type of argument": (["optimizer.args.lr=fast"], ['optimizer.args.lr: "fast" is not a number']),
    "negative learning rate": (["optimizer.args.lr=-1"], ["optimizer.args.lr: -1 is not a number >= 0"]),
    "an argument out of range": (["optimizer.args.weight_decay=-1"], ["optimizer: Invalid weight_decay value: -1"]),
    "monitor of an unknown metric": (["trainer.monitor=min val_los", "trainer.type=Trainer"], ["mean 'val_loss'?"]),
    "monitor without a mode": (["trainer.monitor=val_loss"], ['"val_loss" is not off, min NAME or max NAME']),
    "monitor of validation without any": (["data_loader.args.validation_split=0", "trainer.monitor=min val_loss"],
                                         ["set validation_split"]),
    "validation_split above 1": (["data_loader.args.validation_split=1.5"], ["validation_split: 1.5 is not"]),
    "validation_split below 0": (["data_loader.args.validation_split=-0.1"], ["validation_split: -0.1 is not"]),
    "a fold in words": (["data_loader.args.validation_split=half"], ['"half" is not an integer >= 0', 'such as "2/5"']),
    "a fold beyond the last": (["data_loader.args.validation_split=6/5"], ["validation_split 6/5: 2 to "]),
    "validation_split of everything": (["data_loader.args.validation_split=1000000"], ["leaves no training sample"]),
    "batch_size 0": (["data_loader.args.batch_size=0"], ["data_loader.args.batch_size: 0 is not an integer >= 1"]),
    "no batch": (["data_loader.args.batch_size=1000000", "data_loader.args.drop_last=true"], ["has no batch"]),
    "negative workers": (["data_loader.args.num_workers=-1"], ["-1 is not an integer >= 0"]),
    "what a config cannot describe": (["optimizer.type=LBFGS"], ['"LBFGS" is no Optimizer that a config can name']),
    "a column of the log": (['metrics=["loss"]'], ["metrics.0.type: ", "is no metric"]),
    "the test split for training": (["data_loader.args.training=false"], ["training: unknown argument"]),
    "no threads": (["threads=0"], ["threads: 0 is not an integer >= 1 or null"]),
    "a scheduler without its monitor": (['lr_scheduler={"type": "ReduceLROnPlateau"}', "trainer.monitor=off"],
                                        ["ReduceLROnPlateau judges whole epochs by a monitor of its mode"]),
    "a home of nobody": (["trainer.save_dir=~nosuchuser/saved"], ['"~nosuchuser/saved" is not the path of a folder']),
    "a folder that steers the terminal": (["trainer.save_dir=a\x1b[2J"], ["is not the path of a folder"]),
    "a folder that is no UTF-8": (["trainer.save_dir=\udcff"], ["'utf-8' codec can't encode"]),
    "a setting that is none": (["trainer.epochs"], ["'trainer.epochs' is not KEY=VALUE"]),
    "a setting of nowhere": (["optimzer.args.lr=1"], ["optimzer: unknown key, did you mean 'optimizer'?"]),
    "a setting inside a number": (["n_gpu.x=1"], ["n_gpu.x: there is no object that could hold 'x'"]),
    "a setting further inside a number": (["n_gpu.x.y=1"], ["no object that could hold 'y'"]),
}  # fmt: skip


@pytest.mark.parametrize("case", SETTINGS)
def test_a_wrong_config_is_answered_with_the_right_one(refused, example, offline, tmp_path, case):
    settings, words = SETTINGS[case]
    save_dir = tmp_path / "saved"
    message = refused("train", "-c", example, "-s", f"trainer.save_dir={save_dir}", *offline, *settings)
    for word in words:
        assert word in message
    assert "Traceback" not in message
    assert not save_dir.exists()


def without(key: str) -> dict:
    return {name: value for name, value in CONFIG.items() if name != key}


FILES = {
    "missing file": (None, ["no such file"]),
    "empty file": ("", ["c.json:1:1: not valid JSON"]),
    "broken JSON": ('{"name": "a",\n "n_gpu": }', ["c.json:2:11: not valid JSON"]),
    "a list": ("[]", ["a config is a JSON object"]),
    "NaN": ('{"seed": NaN}', ["NaN is not a finite number"]),
    "a key twice": ('{"name": "a", "name": "b"}', ["'name' stands twice"]),
    "deep nesting": ("[" * 100_000, ["nested too deeply"]),
    "not text": (b"\xff\xfe\x00", ["not valid JSON"]),
    "missing name": (json.dumps(without("name")), ["name: missing"]),
    "missing model": (json.dumps(without("arch")), ["arch: missing"]),
    "missing trainer": (json.dumps(without("trainer")), ["trainer.epochs: missing"]),
    "several at once": (json.dumps(without("loss") | {"seed": "a", "x": 1}), ["3 faults", "loss:", "seed:", "x:"]),
}


@pytest.mark.parametrize("case", FILES)
def test_a_wrong_file_is_refused(refused, example, tmp_path, case):
    content, words = FILES[case]
    path = tmp_path / "c.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    message = refused("train", "-c", path)
    for word in words:
        assert word in message
    assert [p.name for p in tmp_path.iterdir()] == ([] if content is None else ["c.json"])


@pytest.mark.parametrize(
    ("path", "words"),
    [(".", ".: Is a directory"), ("\udcff.json", r"\udcff.json: no such file"), ("a\x1b[2J", r"a\x1b[2J: no such file"),
     ("x" * 300, "File name too long"), ("~nosuchuser/c.json", "no such file")],
)  # fmt: skip
def test_a_path_that_is_no_config_is_one_line(refused, path, words):
    message = refused("train", "-c", path)
    assert words in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("run_id", ["a/b", "..", ".hidden", "", "a\\b", "x" * 101, "a\nb"])
def test_a_run_id_is_one_folders_name(refused, example, run_id):
    assert "is not a folder's name" in refused("train", "-c", example, "--run-id", run_id)


def test_the_command_line_itself(refused, example):
    assert "say what to train" in refused("train")
    assert "unrecognized arguments: --epochs 3" in refused("train", "-c", example, "--epochs", "3")
    assert "-r/--resume" in refused("test")
    assert "unknown device" in refused("train", "-c", example, "-d", "tpu")
    assert "no such device" in refused("train", "-c", example, "-d", "cuda:99")


@pytest.mark.parametrize("command", ["train", "test"])
def test_debug_shows_the_traceback_too(refused, tmp_path, command):
    arguments = ["-r", tmp_path / "none.pth"]
    line = f"error: {tmp_path}/none.pth: no such checkpoint\n"
    assert refused(command, *arguments) == line
    message = refused(command, *arguments, "--debug")
    assert message.startswith("Traceback (most recent call last):") and "parse_config.py" in message
    assert message.endswith(f"\n{line}")


def test_a_message_neither_steers_nor_floods_the_terminal(refused, example, tmp_path):
    (tmp_path / "c.json").write_text(json.dumps(CONFIG | {"a\x1b[2J\nerror: \u202e": 1, "name": "x" * 10_000}))
    message = refused("train", "-c", tmp_path / "c.json")
    assert r"a\x1b[2J\nerror: \u202e: unknown key" in message
    assert len(message.splitlines()) == 3
    assert max(map(len, message.splitlines())) < 2100


def test_a_folder_that_cannot_be_made(refused, example, offline, tmp_path):
    (tmp_path / "saved").write_text("a file")
    message = refused("train", "-c", example, "-s", f"trainer.save_dir={tmp_path}/saved", *offline)
    assert "trainer.save_dir: cannot make a folder" in message


@pytest.fixture
def run_dir(train, example, offline) -> Path:
    return train(example, "trainer.epochs=1", "trainer.tensorboard=false", *offline)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != ".lock"}


def test_a_wrong_resume_changes_nothing(refused, run_dir, tmp_path):
    best = run_dir / "model_best.pth"
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(best.read_bytes()[:1000])
    other = torch.load(best, weights_only=True)
    first = next(iter(other["model"]))
    other["model"]["new.weight"] = other["model"].pop(first)
    torch.save(other, tmp_path / "other.pth")
    torch.save({"state_dict": {}}, tmp_path / "foreign.pth")
    before = contents(run_dir), contents(tmp_path)
    for command in ("train", "test"):
        assert "no such checkpoint, did you mean 'damaged.pth'?" in refused(command, "-r", tmp_path / "damagd.pth")
        assert "damaged.pth is damaged" in refused(command, "-r", damaged)
        assert "it has no model, optimizer" in refused(command, "-r", tmp_path / "foreign.pth")
        assert f"{first} is missing; new.weight is not in the model" in refused(command, "-r", tmp_path / "other.pth")
        assert "holds no checkpoint" in refused(command, "-r", tmp_path)
    message = refused("train", "-r", best, "-s", "trainer.epoch=5")
    assert "trainer.epoch: unknown option" in message
    assert (contents(run_dir), contents(tmp_path)) == before


@pytest.fixture
def misfit(example) -> str:
    """A loss that does not fit the example's targets."""
    loss = json.loads(Path(example).read_text())["loss"]
    is_of_classes = (loss if isinstance(loss, str) else loss["type"]) in ("cross_entropy", "nll_loss")
    return "mse_loss" if is_of_classes else "nll_loss"


def test_a_run_that_fails_in_its_first_step_leaves_no_folder(refused, example, offline, misfit, tmp_path):
    argv = ["-c", example, "--run-id", "run", "-s", f"trainer.save_dir={tmp_path}", *offline]
    for _ in range(2):  # the name is free again
        assert "loss" in refused("train", *argv, "-s", f"loss={misfit}")
    assert list(tmp_path.glob("*/*")) == []


def test_a_trainer_that_counts_no_steps_keeps_its_checkpoints_when_it_fails(example, offline, tmp_path, monkeypatch):
    def epoch(self, number):
        if number == 3:
            raise KeyError("a bug that comes late")
        return {"loss": 1 / number, "val_loss": 1 / number}

    monkeypatch.setattr("trainer.trainer.Trainer._train_epoch", epoch)
    with pytest.raises(KeyError):
        train_main(["-c", example, "--run-id", "run", "-s", f"trainer.save_dir={tmp_path}", *offline])
    [run_dir] = tmp_path.glob("*/run")
    assert (run_dir / "model_best.pth").exists()
    assert [json.loads(line)["lr"] > 0 for line in (run_dir / "metrics.jsonl").read_text().splitlines()] == [True, True]


def test_a_check_compiles(example, offline, monkeypatch, tmp_path):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **options: compiled.append(options))
    train_main(["-c", example, "--check", "-s", "trainer.compile=true", f"trainer.save_dir={tmp_path}", *offline])
    assert compiled == 3 * [{"dynamic": False}]  # to train, to resume and to test


def test_a_run_that_fails_later_keeps_what_it_has(refused, run_dir, misfit):
    assert "loss" in refused("train", "-r", run_dir, "-s", f"loss={misfit}", "trainer.epochs=9")
    assert (run_dir / "model_best.pth").exists()


def test_a_run_id_that_is_taken(refused, run_dir, example, offline):
    before = contents(run_dir)
    argv = ["-c", example, "--run-id", "run", "-s", f"trainer.save_dir={run_dir.parents[1]}", *offline]
    assert "exists; go on with it by -r" in refused("train", *argv)
    assert contents(run_dir) == before


def test_a_bug_of_ours_keeps_its_traceback():
    def buggy(argv):
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        run_command(buggy)
