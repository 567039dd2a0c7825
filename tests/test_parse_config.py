import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parse_config import ConfigParser
from utils.config import apply_settings, catalog, checked, definitions, parse_args, parse_json, read_json
from utils.errors import ConfigError

PROJECT = Path(__file__).resolve().parent.parent
CONFIG = read_json(Path(__file__).resolve().parent.parent / "config.json")


@pytest.fixture
def project_file(tmp_path, monkeypatch):
    """`project_file("model/mine.py", source)`: as if the project had that file too, or instead of its own."""
    for room in ("base", "data_loader", "model", "trainer"):
        shutil.copytree(PROJECT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(catalog, "PROJECT", tmp_path)
    definitions.cache_clear()

    def write(path: str, source: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(source)

    yield write
    definitions.cache_clear()


def faults_of(config: dict) -> list[str]:
    """What is wrong with a config, a line for each fault."""
    try:
        checked(config, "c.json")
    except ConfigError as error:
        first, *faults = str(error).split("\n")
        return [fault.strip() for fault in faults] or [first.removeprefix("c.json: ")]
    return []


def changed(*settings: str) -> dict:
    config = copy.deepcopy(CONFIG)
    apply_settings(config, settings)
    return config


def test_every_config_of_the_project_is_right():
    for path in [Path("config.json"), *Path("configs").glob("*.json")]:
        assert faults_of(read_json(path)) == [], path


def test_the_config_of_the_original_template_is_right():
    """victoresque/pytorch-template's published config.json; its model, loader, loss and metrics are those of ours."""
    config = {
        "name": "Mnist_LeNet",
        "n_gpu": 1,
        "arch": {"type": "MnistModel", "args": {}},
        "data_loader": {
            "type": "MnistDataLoader",
            "args": {
                "data_dir": "data/",
                "batch_size": 128,
                "shuffle": True,
                "validation_split": 0.1,
                "num_workers": 2,
            },
        },
        "optimizer": {"type": "Adam", "args": {"lr": 0.001, "weight_decay": 0, "amsgrad": True}},
        "loss": "nll_loss",
        "metrics": ["accuracy", "top_k_acc"],
        "lr_scheduler": {"type": "StepLR", "args": {"step_size": 50, "gamma": 0.1}},
        "trainer": {
            "epochs": 100,
            "save_dir": "saved/",
            "save_period": 1,
            "verbosity": 2,
            "monitor": "min val_loss",
            "early_stop": 10,
            "tensorboard": True,
        },
    }
    assert faults_of(config) == []


def test_only_the_essential_keys_have_no_default():
    keys = ("name", "arch", "data_loader", "optimizer", "loss")
    config = {key: CONFIG[key] for key in keys} | {"trainer": {"epochs": 3}}
    assert faults_of(config) == []
    for key in keys:
        rest = {other: value for other, value in config.items() if other != key}
        assert [fault.split(":")[0] for fault in faults_of(rest)] == [key]
    assert faults_of(config | {"trainer": {}}) == [
        "trainer.epochs: missing; it needs an integer >= 1 and <= 10,000,000"
    ]


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("trainer=5", "trainer: 5 is not an object"),
        ("trainer.args=5", "trainer.args: 5 is not an object"),
        ("trainer.type=5", "trainer.type: 5 is not a name"),
        ("metrics=5", "metrics: 5 is not a list of names"),
        ("metrics=[5]", "metrics: [5] is not a list of names"),
        ("loss=5", 'loss: 5 is not a name or {"type": ..., "args": {...}}'),
        ("optimizer=null", 'optimizer: null is not {"type": ..., "args": {...}}'),
    ],
)
def test_a_fault_is_told_once(setting, fault):
    assert faults_of(changed("trainer.monitor=off", setting)) == [fault]


def test_completing_leaves_the_given_config_alone():
    config = copy.deepcopy(CONFIG)
    for _ in range(2):
        trainer = checked(config, "c.json")["trainer"]
        assert trainer["args"] == {}
        trainer["args"]["new"] = 1
    assert config == CONFIG


@pytest.mark.parametrize(
    ("settings", "key", "value"),
    [
        (["optimizer.args.lr=0.5"], ("optimizer", "args", "lr"), 0.5),
        (["trainer.epochs=7", "trainer.epochs=8"], ("trainer", "epochs"), 8),  # the last one wins
        (["name=My Run"], ("name",), "My Run"),
        (['name="12"'], ("name",), "12"),
        (["lr_scheduler=null"], ("lr_scheduler",), None),
        (["data_loader.args.data_dir=../a=b"], ("data_loader", "args", "data_dir"), "../a=b"),
        (["metrics=[]"], ("metrics",), []),
        (["trainer.args.new=[1,2]"], ("trainer", "args", "new"), [1, 2]),
    ],
)
def test_settings(settings, key, value):
    place = changed(*settings)
    for part in key:
        place = place[part]
    assert place == value


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(), st.lists, max_leaves=10))
def test_any_json_value_can_be_set(value):
    assert changed(f"arch.args.x={json.dumps(value)}")["arch"]["args"]["x"] == value


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_setting_is_applied_or_refused_as_a_config_error(key, text):
    config = copy.deepcopy(CONFIG)
    try:
        apply_settings(config, [f"{key}={text}"])
    except ConfigError as error:
        assert "-s" in str(error)
    assert faults_of(config) is not None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["type", "args", "trainer", "arch", "epochs", "metrics", "loss", "lr"]) | st.text(),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    ),
    st.sampled_from([*CONFIG, "trainer.args", "optimizer.args", "data_loader.args.batch_size", "trainer.monitor"]),
)
def test_whatever_stands_in_a_config_it_is_right_or_a_list_of_faults(value, path):
    config = copy.deepcopy(CONFIG)
    *parents, last = path.split(".")
    place = config
    for key in parents:
        place = place[key]
    place[last] = value
    faults = faults_of(config)
    assert all(isinstance(fault, str) and ": " in fault for fault in faults)


@given(st.text())
def test_json_is_read_or_refused_with_a_value_error(text):
    try:
        parse_json(text)
    except ValueError:
        return
    json.loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"a": NaN}', "NaN is not a finite number"),
        ('{"a": 1e999}', "Infinity is not a finite number"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": 1,}', "Expecting property name|Illegal trailing comma"),
        ("9" * 5000, "digits"),
    ],
)
def test_what_is_no_strict_json_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_a_json_fault_has_file_line_and_column(tmp_path):
    path = tmp_path / "c.json"
    path.write_text('{\n  "name": "a"\n  "n_gpu": 1\n}')
    with pytest.raises(ConfigError, match=r"c\.json:3:3: not valid JSON: Expecting ',' delimiter"):
        read_json(path)


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = tmp_path / "c.json"
    path.write_bytes(b'\xef\xbb\xbf{"name": "\xea\xb0\x80"}')
    assert read_json(path) == {"name": "가"}


def test_all_faults_are_reported_at_once():
    config = changed("trainer.epoch=3", "optimizer.type=Adm", "loss=cros_entropy", "data_loader.args.batch_size=0")
    with pytest.raises(ConfigError) as error:
        ConfigParser(config, "my.json")
    lines = str(error.value).splitlines()
    assert lines[0] == "my.json has 4 faults:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "trainer.epoch",
        "data_loader.args.batch_size",
        "optimizer.type",
        "loss.type",
    ]


HOSTILE_TYPES = ["os.system", "__class__", "_Hidden", "torch.nn.Linear", "subprocess.Popen", "BaseModel", "nn",
                 "Tensor", "BaseDataLoader", "../../x", "Optimizer", "F", ""]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_TYPES)
@pytest.mark.parametrize("key", ["arch", "data_loader", "optimizer", "loss", "lr_scheduler", "trainer"])
def test_a_type_that_is_none_of_ours_is_refused(key, name):
    faults = faults_of(changed(f"{key}={json.dumps({**CONFIG[key], 'type': name})}"))
    assert [fault for fault in faults if fault.startswith(f"{key}.type:")]


def test_a_loader_must_take_the_flag_for_the_test_split_itself(project_file):
    project_file("data_loader/mine.py", "from base import BaseDataLoader\nclass NoTest(BaseDataLoader):\n"
                 "    def __init__(self, batch_size: int, **options):\n"
                 "        super().__init__(None, batch_size, **options)\n")  # fmt: skip
    faults = faults_of(changed('data_loader={"type": "NoTest", "args": {"batch_size": 1}}'))
    assert faults == ["data_loader.type: NoTest must take `training` (False: the test split) and hand it on"]


def test_a_new_option_of_the_trainer_is_one_parameter(project_file):
    source = (PROJECT / "trainer/trainer.py").read_text()
    option = '        mixup: Annotated[float, ">= 0", "< 1"] = 0.25,\n'
    project_file(
        "trainer/trainer.py", source.replace("        **options: Any,\n", f"{option}        **options: Any,\n", 1)
    )
    assert checked(CONFIG, "c.json")["trainer"]["mixup"] == 0.25
    faults = faults_of(changed("trainer.mixup=1", "trainer.mixu=0"))
    assert faults[0].startswith("trainer.mixu: unknown option of Trainer, did you mean 'mixup'?")
    assert faults[1:] == ["trainer.mixup: 1 is not a number >= 0 and < 1"]


@pytest.mark.parametrize(
    ("right", "wrong", "accepted"),
    [
        (["epochs=10000000"], ["epochs=0", "epochs=10000001", "epochs=2.5"], "an integer >= 1 and <= 10,000,000"),
        (["monitor=off", "monitor=min val_loss"], ["monitor=mean loss", "monitor=null"], "off, min NAME or max NAME"),
        (["early_stop=0"], ["early_stop=-1"], "an integer >= 0"),
        (["save_every_steps=0"], ["save_every_steps=true"], "an integer >= 0"),
        (["keep_last=1", "keep_last=null"], ["keep_last=0"], "an integer >= 1 or null"),
        (["schedule_per=step"], ["schedule_per=batch"], '"epoch" or "step"'),
        (["amp=fp16", "amp=null"], ["amp=half"], '"bf16" or "fp16" or null'),
        (["clip_grad_norm=1", "clip_grad_norm=0.5"], ["clip_grad_norm=0"], "a number > 0 or null"),
        (["ema=0.999"], ["ema=0", "ema=1"], "a number > 0 and < 1 or null"),
        (["on_nan=skip"], ["on_nan=go on"], '"stop" or "skip"'),
        (["tensorboard=false"], ["tensorboard=null", "tensorboard=1"], "true or false"),
    ],
)  # fmt: skip
def test_the_trainers_options_have_the_ranges_of_its_signature(right, wrong, accepted):
    for setting in right:
        assert faults_of(changed(f"trainer.{setting}")) == []
    for setting in wrong:
        [fault] = faults_of(changed(f"trainer.{setting}"))
        assert fault.startswith(f"trainer.{setting.partition('=')[0]}: ") and fault.endswith(f" is not {accepted}")


def test_a_class_in_a_folder_of_a_room_is_found(project_file):
    project_file(
        "model/vision/net.py",
        "from base import BaseModel\nclass Net(BaseModel):\n    def __init__(self, n: int): ...\n",
    )
    assert faults_of(changed('arch={"type": "Net", "args": {"n": 1}}')) == []
    assert definitions("model")["Net"].module == "model.vision.net"


def test_a_file_that_is_no_python_is_one_line(project_file, refused):
    project_file("model/mine.py", "class Net(\n")
    assert re.fullmatch(r"error: .*model/mine.py:1: not valid Python: .*\n", refused("train", "-c", "config.json"))


def test_a_config_that_is_not_trusted_compiles_nothing_unless_told_to():
    own, strange = (ConfigParser(changed("trainer.compile=true"), trusted=trusted) for trusted in (True, False))
    assert own["trainer"]["compile"] is True and own.notes == []
    assert strange["trainer"]["compile"] is False
    assert strange.notes == ["trainer.compile is off: it runs a compiler; name your own config with -c"]
    told = ConfigParser(changed("trainer.compile=true"), trusted=False, settings=["trainer.compile=true"])
    assert told["trainer"]["compile"] is True


def test_a_trained_model_is_built_and_loaded():
    import torch

    config = ConfigParser(CONFIG)
    weights, ema = (config.init_obj("arch").state_dict() for _ in range(2))
    average = {f"module.{name}": weight for name, weight in ema.items()} | {"n_averaged": torch.tensor(1)}
    model = config.trained_model({"model": weights, "ema": average})
    assert not model.training
    assert all(torch.equal(weight, ema[name]) for name, weight in model.state_dict().items())


def test_a_checkpoint_can_be_gone_on_with_under_a_new_name():
    args = parse_args("train", ["-r", "run", "--run-id", "new"])
    assert (args.resume, args.run_id) == (Path("run"), "new")


def test_two_classes_of_one_name_are_a_fault(project_file):
    project_file("model/mine.py", "from base import BaseModel\nclass MLP(BaseModel): ...\n")
    assert "arch.type: MLP stands in mine.py and in mlp.py; rename one" in faults_of(CONFIG)


def test_objects_are_built_with_arguments_and_overrides():
    config = ConfigParser(changed("metrics=[]"))
    loader = config.init_obj("data_loader", batch_size=3, shuffle=False)
    assert loader.batch_size == 3
    assert ConfigParser(changed("lr_scheduler=null")).init_obj("lr_scheduler") is None


def test_metrics_and_losses_take_arguments_and_keep_their_name():
    config = ConfigParser(
        changed('metrics=[{"type": "top_k_acc", "args": {"k": 1}}, "accuracy"]', "trainer.monitor=off")
    )
    import torch

    output, target = torch.eye(4), torch.tensor([0, 1, 2, 0])
    top_1, accuracy = config.init_metrics()
    assert (top_1.__name__, accuracy.__name__) == ("top_k_acc", "accuracy")
    assert top_1(output, target) == accuracy(output, target) == 0.75


@pytest.mark.parametrize("argv", [["--help"], ["-c", "no.json"], ["-c", "config.json", "-s", "optimizer.type=Adm"]])
def test_help_and_refusals_need_no_torch(argv):
    code = (
        "import sys, importlib.util as u; s = u.spec_from_file_location('t', 'train.py'); m = u.module_from_spec(s)\n"
        "s.loader.exec_module(m)\n"
        f"try:\n    m.run_command(m.main, {argv!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'sklearn', 'pandas', 'torchvision', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
