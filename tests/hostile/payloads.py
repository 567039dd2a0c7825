"""What a stranger could put into a checkpoint or a run's folder.

Each payload is a function `(run_dir, checkpoint)` that turns an honest run's folder into a hostile one, and the words
with which train.py and test.py, in this order, must refuse it; None: it must do no harm. Beside the run's folder lies
a folder `outside`, which is the current one and must stay as it is.
"""

import io
import math
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch


class Payload(NamedTuple):
    """How to make it, and what the commands must say that get it."""

    make: Callable[[Path, dict[str, Any]], None]
    words: dict[str, str | None]


PAYLOADS: dict[str, Payload] = {}
UNSAFE = "cannot be loaded safely"
DAMAGED = "is damaged or not a checkpoint"
OTHER_MODEL = "from another architecture"
LAST = "checkpoint-last.pth"
MIB = 1 << 20


def add(name: str, make: Callable[[Path, dict], None], words: str | None, both: bool = True) -> None:
    """With `both`, the two commands say the same; else test.py does not look at it, and comes to no harm."""
    assert name not in PAYLOADS, name
    PAYLOADS[name] = Payload(make, {"train": words, "test": words if both else None})


def add_one_of_many(name: str, make: Callable[[Path, dict], None], words: str) -> None:
    """One of a class that the same lines refuse for both commands, which take turns."""
    add(name, make, words)
    del PAYLOADS[name].words["train" if len(PAYLOADS) % 2 else "test"]


# ---------------------------------------------------------------------------------- a config inside the checkpoint


def in_config(path: str, value: Any) -> Callable[[Path, dict], None]:
    """Set a dotted key of the checkpoint's config. `{run}` and `{outside}` in a text stand for the folders."""

    def make(run_dir: Path, checkpoint: dict) -> None:
        *parents, last = path.split(".")
        place = checkpoint["config"]
        for key in parents:
            place = place[key]
        place[last] = fill(value, run_dir)
        torch.save(checkpoint, run_dir / LAST)

    return make


def fill(value: Any, run_dir: Path) -> Any:
    if isinstance(value, dict):
        return {key: fill(item, run_dir) for key, item in value.items()}
    if isinstance(value, str):
        return value.replace("{run}", str(run_dir)).replace("{outside}", str(run_dir.parent / "outside"))
    return value


TYPES = {
    "arch": ["os.system", "torch.hub.load", "subprocess.Popen", "builtins.eval", "eval", "__import__", "__class__",
             "MLP.__class__", "MLP.__init__", "model.mlp.MLP", "nn.Sequential", "nn", "Sequential", "BaseModel",
             "FrozenFeatures", "make_activation", "math", "itertools", "MLP\x00", " MLP", "../mlp.MLP",
             "\uff2d\uff2c\uff30"],
    "data_loader": ["torch", "Path", "_read", "contextlib", "DataLoader", "InMemoryDataset", "choose_samples",
                    "standardize", "ImageDataset", "joblib.load", "pickle.loads"],
    "optimizer": ["Optimizer", "torch.optim.SGD", "_use_grad_for_differentiable", "lr_scheduler", "torch", "ParamsT",
                  "SGD.step"],
    "loss": ["F", "Tensor", "F.cross_entropy", "torch.nn.functional.cross_entropy", "exec", "os.system", "__name__"],
    "lr_scheduler": ["LRScheduler", "LambdaLR", "partial", "Counter", "types", "warnings", "_initial_mode"],
}  # fmt: skip
for key, names in TYPES.items():
    for name in names:
        value = {"type": name, "args": {"command": "touch {outside}/x"}}
        add_one_of_many(f"{key} is {name!r}", in_config(key, value), f"{key}.type")
for name in ("per_epoch", "Tensor", "metrics", "sklearn.metrics.f1_score", "__builtins__"):
    add_one_of_many(f"a metric is {name!r}", in_config("metrics", [name]), "metrics.0.type")
for name in ("BaseTrainer", "logging", "trainer.trainer.Trainer", "DeadUnits", "__class__", "tempfile.mkdtemp"):
    add_one_of_many(f"the trainer is {name!r}", in_config("trainer.type", name), "trainer.type")

DEEP: Any = 1
for _ in range(100):
    DEEP = [DEEP]
VERY_DEEP: Any = 1
for _ in range(400):
    VERY_DEEP = {"a": VERY_DEEP}
LONG = "x" * 10 * MIB
CONFIG = {
    "name leads up": ("name", "../../outside/x", "is not a folder's name"),
    "name is absolute": ("name", "/tmp/x", "is not a folder's name"),
    "name steers the terminal": ("name", "\x1b]0;x\x07", "is not a folder's name"),
    "name of 10 MB": ("name", LONG, "longer than 1,000,000 characters"),
    "a value of 10 MB": ("arch.args.activation", LONG, "longer than 1,000,000 characters"),
    "a value of 900 kB": ("arch.args", {"sizes": [64, 10, 10], "activation": "x" * 900_000}, "arch: activation"),
    "a key of 900 kB": ("x" * 900_000, 1, "unknown key"),
    "a key that steers the terminal": ("\x1b[2J\x9b\u202e\nerror: all is well", 1, r"\x1b[2J\x9b\u202e\nerror"),
    "1,000 unknown keys": ("arch.args", {f"k{i}": 1 for i in range(1_000)}, "has 1001 faults"),
    "1,000 metrics": ("metrics", ["accuracy"] * 1_000, "two columns of the log have one name"),
    "500 unknown metrics": ("metrics", [f"m{i}" for i in range(500)], "has 500 faults"),
    "deep nesting": ("arch.args.sizes", DEEP, UNSAFE),
    "very deep nesting": ("arch.args.sizes", VERY_DEEP, UNSAFE),
    "NaN": ("optimizer.args.lr", math.nan, "not a finite number"),
    "infinity": ("trainer.early_stop", math.inf, "not a finite number"),
    "a huge number": ("seed", 10**400, "does not fit into 64 bits"),
    "a huge float": ("optimizer.args.lr", 1e308, None),
    "a number of a million digits": ("trainer.epochs", 1 << 4_000_000, UNSAFE),
    "a tensor": ("arch.args.sizes", torch.ones(2), "not JSON serializable"),
    "bytes": ("name", b"run", "not JSON serializable"),
    "half a character": ("data_loader.args.x", "\ud800", "surrogates not allowed"),
    "a key that is a tensor": ("arch.args", {torch.ones(1): 1}, "keys must be str"),
    "a key that stands twice": ("arch.args", {"sizes": [64, 10], 1: 1, "1": 2}, "'1' stands twice"),
    "a config that is a list": ("arch", [], "arch: []"),
    "no sections": ("trainer", None, "trainer: null is not an object"),
    "epochs without end": ("trainer.epochs", 2**62, "trainer.epochs"),
    "a million workers": ("data_loader.args.num_workers", 10**6, "num_workers"),
    "less than no threads": ("threads", -(10**6), "threads"),
    "a model of 400 TB": ("arch.args.sizes", [64, 10**8, 10**6, 10], "allocate memory"),
    "a model of 2^80 weights": ("arch.args.sizes", [64, 2**40, 2**40, 10], "allocate"),
    "a layer below zero": ("arch.args.sizes", [64, -5, 10], "sizes"),
    "the code's own argument": ("optimizer.args.params", [], "params: unknown argument"),
    "a private argument": ("arch.args.__class__", "x", None),  # a key with "_" is a comment
    "self": ("arch.args.self", "x", "self: unknown argument"),
    "the trainer's own argument": ("trainer.args", {"config": {}}, "config: unknown argument"),
    "betas of another kind": ("optimizer.args.betas", [[], {}], "optimizer.args.betas"),
    "a step of zero": ("lr_scheduler", {"type": "StepLR", "args": {"step_size": 0}}, "step_size: 0 is not"),
    "a cycle of zero": ("lr_scheduler", {"type": "CosineAnnealingWarmRestarts", "args": {"T_0": 0}}, "T_0: 0 is not"),
    "verbosity of its own": ("trainer.verbosity", 3, "verbosity"),
    "a monitor of code": ("trainer.monitor", "min __class__", "is not logged"),
}  # fmt: skip
for name, (path, value, words) in CONFIG.items():
    add(f"config: {name}", in_config(path, value), words)

# Where things are written: none of this may matter, since a run goes on where it lies.
for folder in ("{outside}/saved", "../outside", "~/hostile", "/proc/self/fd", "/dev/null/x"):
    add(f"save_dir is {folder}", in_config("trainer.save_dir", folder), None)

LOADERS = {
    "MNIST to be downloaded outside": ("MnistDataLoader", {"data_dir": "{outside}/data", "download": True}, "no MNIST"),
    "MNIST by default": ("MnistDataLoader", {"data_dir": "../outside/data"}, "no MNIST"),
    "MNIST into a file": ("MnistDataLoader", {"data_dir": "/etc/passwd"}, "no MNIST"),
    "MNIST from a path with a zero": ("MnistDataLoader", {"data_dir": "a\x00b"}, r"no MNIST in a\x00b"),
    "California to be downloaded outside": ("CaliforniaHousingDataLoader", {"data_home": "{outside}/data"},
                                            "no California"),
    "a table that is no file": ("CsvDataLoader", {"path": "/dev/zero", "target": "x"}, "no file /dev/zero"),
    "a table on the network": ("CsvDataLoader", {"path": "http://127.0.0.1:9/x.csv", "target": "x"}, "no file"),
    "a table of secrets": ("CsvDataLoader", {"path": "/etc/passwd", "target": "x"}, "path: /etc/passwd"),
    "images from nowhere": ("ImageFolderDataLoader", {"data_dir": "/etc"}, "no image"),
}  # fmt: skip
for name, (loader, arguments, words) in LOADERS.items():
    entry = {"type": loader, "args": {"batch_size": 10, **arguments}}
    add(f"data: {name}", in_config("data_loader", entry), words)
BACKBONES = {
    "weights to be downloaded": ("resnet18", "DEFAULT", "nothing is downloaded"),
    "weights that are no file": ("resnet18", "/dev/zero", "no such file"),
    "a backbone by its path": ("torch.hub.load", None, "is unknown"),
}
for name, (backbone, weights, words) in BACKBONES.items():
    arguments = {"backbone": backbone, "num_classes": 10, "weights": weights, "download": True}
    add(f"arch: {name}", in_config("arch", {"type": "TorchvisionModel", "args": arguments}), words)
arguments = {"batch_size": 10, "data_dir": "{run}", "transforms": [{"type": "functional", "args": {}}]}
entry = {"type": "ImageFolderDataLoader", "args": arguments}
add("data: a transform that is a module", in_config("data_loader", entry), "transforms.0.type")


# ----------------------------------------------------------------------------------------------- hostile pickles


def archive(content: bytes, records: dict[str, bytes] | None = None) -> Callable[[Path, dict], None]:
    """A checkpoint file of torch's form around a pickle."""

    def make(run_dir: Path, checkpoint: dict) -> None:
        with zipfile.ZipFile(run_dir / LAST, "w") as file:
            file.writestr("x/data.pkl", content)
            for name, record in {"byteorder": b"little", "version": b"3\n", **(records or {})}.items():
                file.writestr(f"x/{name}", record)

    return make


def call(module: str, name: str, *arguments: Any) -> bytes:
    """A pickle that calls a function, written by hand, so that nothing is imported here."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + pickle.dumps(arguments, 2)[2:-1] + b"R."


TOUCH = "touch ../outside/x"
CALLS = [
    ("os", "system", TOUCH), ("posix", "system", TOUCH), ("os", "popen", TOUCH), ("os", "mkdir", "../outside/x"),
    ("os", "remove", "../outside/canary"), ("os", "symlink", "/etc", "../outside/x"),
    ("os", "execv", "/bin/sh", ["sh"]),
    ("os", "putenv", "PYTHONPATH", "/tmp"), ("os", "_exit", 0), ("os", "kill", 1, 0), ("os", "fork"),
    ("subprocess", "Popen", ["touch", "../outside/x"]), ("subprocess", "check_output", ["touch", "../outside/x"]),
    ("builtins", "eval", "open('../outside/x', 'w')"), ("builtins", "exec", "open('../outside/x', 'w')"),
    ("builtins", "open", "../outside/x", "w"), ("builtins", "__import__", "stranger"), ("builtins", "getattr", "", "x"),
    ("builtins", "compile", "1", "x", "eval"), ("builtins", "breakpoint"), ("__builtin__", "eval", "1"),
    ("importlib", "import_module", "stranger"), ("stranger", "anything"), ("this", "s"), ("runpy", "run_path", "x.py"),
    ("webbrowser", "open", "http://127.0.0.1:9"), ("shutil", "rmtree", "../outside"), ("pty", "spawn", "sh"),
    ("socket", "create_connection", ("127.0.0.1", 9)), ("urllib.request", "urlopen", "http://127.0.0.1:9"),
    ("ctypes", "CDLL", "./x.so"), ("pickle", "loads", b"cos\nsystem\n(S'touch ../outside/x'\ntR."),
    ("_pickle", "loads", b"N."), ("marshal", "loads", b"N"), ("timeit", "timeit", "1"), ("pdb", "run", "1"),
    ("code", "interact"), ("logging.config", "listen"), ("functools", "partial", 1), ("operator", "attrgetter", "x"),
    ("operator", "methodcaller", "system", TOUCH), ("sys", "exit", 0), ("sys", "setrecursionlimit", 5),
    ("torch", "load", "x.pth"), ("torch", "save", [], "../outside/x"), ("torch", "from_file", "../outside/x", True, 1),
    ("torch.hub", "load", "x/y", "z"), ("torch.jit", "load", "x"), ("torch.ops", "load_library", "x.so"),
    ("torch.serialization", "add_safe_globals", []), ("torch.utils.cpp_extension", "load", "x", "x.cpp"),
    ("torch._dynamo", "config"), ("torch", "Tensor.__class__"), ("torch.storage", "UntypedStorage.from_file", "x"),
    ("collections", "OrderedDict.fromkeys", []), ("torch._utils", "_import_dotted_name", "os.system"),
    ("numpy", "load", "x.npy"), ("numpy", "fromfile", "/dev/zero"), ("numpy", "core.multiarray._reconstruct"),
    ("pandas", "read_pickle", "x"), ("joblib", "load", "x"), ("utils.files", "write_json", {}, "../outside/x"),
    ("utils.checkpoint.file", "load_plain", "x"), ("model.mlp", "MLP", [1, 1]), ("trainer.trainer", "Trainer", 1),
    ("pathlib", "PosixPath", "x"), ("multiprocessing", "Process"), ("asyncio", "run", 1), ("antigravity", "geohash"),
]  # fmt: skip
for module, name, *arguments in CALLS:
    add_one_of_many(f"pickle: {module}.{name}", archive(call(module, name, *arguments)), UNSAFE)

PICKLES = {
    "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x12touch ../outside/x\x85R.",
    "INST": b"(S'touch ../outside/x'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'touch ../outside/x'\no.",
    "NEWOBJ": b"\x80\x02cos\nsystem\n)\x81.",
    "EXT1": b"\x80\x02\x82\x01.",
    "a persistent id": b"\x80\x02X\x02\x00\x00\x00osQ.",
    "a state for a class": b"\x80\x02ctorch\nTensor\n}X\x01\x00\x00\x00xK\x01sb.",
    "no end": b"\x80\x02]",
    "nothing": b"",
    "an empty stack": b"\x80\x02.",
    "a missing memo": b"\x80\x02h\x05.",
    "a text of 2 GB that is not there": b"\x80\x02X\xff\xff\xff\x7fx.",
    "bytes of 2^62 that are not there": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b".",
    "a frame of 2^62": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "a bytearray of 2^50": call("builtins", "bytearray", 2**50),
    "a set": call("builtins", "set", [1]),
    "100,000 lists, one in another": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "a list in itself": b"\x80\x02]q\x00h\x00a.",
    "2^35 numbers in a kilobyte": b"\x80\x02](K\x01K\x01eq\x00" + b"".join(
        b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(35)) + b".",
}  # fmt: skip
for name, content in PICKLES.items():
    add_one_of_many(f"pickle: {name}", archive(content), UNSAFE)


def raw(content: bytes | Callable[[], bytes]) -> Callable[[Path, dict], None]:
    """A checkpoint file with this content."""
    return lambda run_dir, checkpoint: (
        (run_dir / LAST).write_bytes(content() if callable(content) else content) and None
    )


def tar_file() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        info = tarfile.TarInfo("../outside/x")
        tar.addfile(info)
    return file.getvalue()


for name, content in {
    "a bare pickle": call("os", "system", TOUCH),
    "torch's oldest format": pickle.dumps(0x1950A86A20F9469CFC6C, 2) + call("os", "system", TOUCH),
    "a tar archive": tar_file,
    "a script": b"#!/bin/sh\ntouch ../outside/x\n",
    "10 MB of nothing": bytes(10 * MIB),
    "nothing at all": b"",
}.items():
    add(f"file: {name}", raw(content), DAMAGED)


def before_the_zip(run_dir: Path, checkpoint: dict) -> None:
    """torch goes by what a file begins as, zipfile by how it ends: the part that is checked is not the one loaded."""
    honest = (run_dir / LAST).read_bytes()
    torch.save(checkpoint, run_dir / LAST, _use_new_zipfile_serialization=False)
    with (run_dir / LAST).open("ab") as file:
        file.write(honest)


add("file: torch's old format, and a zip archive", before_the_zip, DAMAGED)


# -------------------------------------------------------------------------------------------------- zip archives


def bomb(run_dir: Path, checkpoint: dict) -> None:
    """64 MB of zeros in 64 kB."""
    with zipfile.ZipFile(run_dir / LAST, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x/data.pkl", pickle.dumps(1, 2))
        file.writestr("x/data/0", bytes(64 * MIB))


def overlapping(run_dir: Path, checkpoint: dict) -> None:
    """A thousand directory entries of one record of a megabyte."""
    with zipfile.ZipFile(run_dir / LAST, "w") as file:
        file.writestr("x/data.pkl", pickle.dumps(1, 2))
        file.writestr("x/data/0", bytes(MIB))
        for i in range(1, 1000):
            info = zipfile.ZipInfo.__new__(zipfile.ZipInfo)
            for slot in zipfile.ZipInfo.__slots__:
                if hasattr(file.getinfo("x/data/0"), slot):
                    setattr(info, slot, getattr(file.getinfo("x/data/0"), slot))
            info.filename = info.orig_filename = f"x/data/{i}"
            file.filelist.append(info)


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path, dict], None]:
    """The honest file with other bytes."""

    def make(run_dir: Path, checkpoint: dict) -> None:
        (run_dir / LAST).write_bytes(change((run_dir / LAST).read_bytes()))

    return make


def with_record(name: str, content: bytes) -> Callable[[Path, dict], None]:
    """The honest file with one record more."""

    def make(run_dir: Path, checkpoint: dict) -> None:
        with zipfile.ZipFile(run_dir / LAST, "a") as file:
            file.writestr(name, content)

    return make


add("zip: a bomb", bomb, DAMAGED)
add("zip: overlapping records", overlapping, DAMAGED)
add("zip: torchscript", archive(b"N.", {"constants.pkl": b"N.", "code/x.py": b"import os"}), UNSAFE)
add("zip: a record by a path that leads up", with_record("../../outside/x", b"1"), UNSAFE)
add("zip: an absolute record", with_record("/tmp/hostile-record", b"1"), UNSAFE)
add("zip: encrypted", rewritten(lambda b: b.replace(b"PK\x01\x02\x00\x00", b"PK\x01\x02\x14\x00")[:-1]), DAMAGED)
add("zip: sizes of 2^32", rewritten(lambda b: b[: b.rindex(b"PK\x01\x02") + 20] + b"\xff" * 8
                                   + b[b.rindex(b"PK\x01\x02") + 28 :]), DAMAGED)  # fmt: skip
add("zip: a version of the future", archive(b"\x80\x02}.", {"version": b"9" * 30}), UNSAFE)
add("zip: a foreign byte order", archive(b"\x80\x02}.", {"byteorder": b"odd"}), UNSAFE)


# -------------------------------------------------------------------------------------------- tensors and values


class Storage(NamedTuple):
    """What a tensor's persistent id claims: the number of elements of the record 0."""

    n_elements: int
    record: str = "0"
    location: str = "cpu"


class Rebuilt:
    """A tensor as its pickle describes it."""

    def __init__(self, function: Callable, *arguments: Any):
        self.parts = function, arguments

    def __reduce__(self) -> tuple:
        return self.parts


class Pickler(pickle._Pickler):
    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if isinstance(value, Storage):
            kind = torch.FloatStorage
            self.save(("storage", kind, value.record, value.location, value.n_elements), save_persistent_id=False)
            self.write(pickle.BINPERSID)
        else:
            super().save(value, save_persistent_id)


def with_weight(value: Any) -> Callable[[Path, dict], None]:
    """The honest checkpoint, but for one weight; its record 0 holds 16 bytes."""

    def make(run_dir: Path, checkpoint: dict) -> None:
        first = next(iter(checkpoint["model"]))
        plain = checkpoint | {"model": {first: value}, "optimizer": {}, "random": {}, "train_metrics": {}}
        content = io.BytesIO()
        Pickler(content, 2).dump(plain)
        archive(content.getvalue(), {"data/0": bytes(16)})(run_dir, checkpoint)

    return make


def tensor(storage: Storage, size: tuple, stride: tuple, offset: int = 0) -> Rebuilt:
    return Rebuilt(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, OrderedDict())


WEIGHTS = {
    "4 TB that are not there": tensor(Storage(10**12), (10**12,), (1,)),
    "more than the storage": tensor(Storage(4), (10**12,), (1,)),
    "a thousand elements of four": tensor(Storage(1000), (1000,), (1,)),
    "one element, a trillion times": tensor(Storage(4), (10**12,), (0,)),
    "a negative stride": tensor(Storage(4), (4,), (-1,)),
    "a negative size": tensor(Storage(-4), (4,), (1,)),
    "a size that overflows": tensor(Storage(2**62), (2**62,), (1,)),
    "an offset before the storage": tensor(Storage(4), (4,), (1,), offset=-1),
    "an offset behind the storage": tensor(Storage(4), (4,), (1,), offset=2**40),
    "a record that is not there": tensor(Storage(4, record="7"), (4,), (1,)),
    "a record by its path": tensor(Storage(4, record="../../../../etc/passwd"), (4,), (1,)),
    "no storage at all": Rebuilt(torch._utils._rebuild_meta_tensor_no_storage, torch.float32, (10**9, 10**9),
                                   (1, 1), False),
    "a sparse tensor of 2^60": Rebuilt(torch._utils._rebuild_sparse_tensor, torch.sparse_coo,
                                       (torch.zeros(1, 1, dtype=torch.int64), torch.ones(1), torch.Size([2**60]))),
    "a class of torch": Rebuilt(torch._utils._rebuild_wrapper_subclass, torch.Tensor, torch.float32, (4,), (1,), 0,
                                torch.strided, "cpu", False),
}  # fmt: skip
for name, value in WEIGHTS.items():
    add_one_of_many(f"weight: {name}", with_weight(value), UNSAFE)
for name, value in {
    "one element, 640 times": tensor(Storage(4), (10, 64), (0, 0)),
    "a device that is not there": tensor(Storage(4, location="cuda:99"), (4,), (1,)),
    "a thousand dimensions": tensor(Storage(4), (1,) * 1000, (1,) * 1000),
}.items():
    add(f"weight: {name}", with_weight(value), OTHER_MODEL)


def with_values(**values: Any) -> Callable[[Path, dict], None]:
    """The honest checkpoint with other values."""
    return lambda run_dir, checkpoint: torch.save(checkpoint | values, run_dir / LAST)


NOT_OURS = "of the right kind"
MISFIT = "does not fit this run"
for name, values in {
    "a step that is a text": {"step": "1; touch x"},
    "an epoch that is a list": {"epoch": [1]},
    "an average that is a list": {"ema": [1, 2]},
    "a model that is a list": {"model": [1, 2]},
    "a config that is a text": {"config": "{}"},
    "an optimizer that is a text": {"optimizer": "SGD"},
    "a schedule that is a list": {"lr_scheduler": [1, 2]},
}.items():
    add(f"value: {name}", with_values(**values), NOT_OURS)
for name, values in {
    "an epoch below zero": {"epoch": -1},
    "an epoch of 2^60": {"epoch": 2**60},
    "an epoch of a hundred digits": {"epoch": 10**100},
    "an epoch that is true": {"epoch": True},
    "a best that is NaN": {"best": math.nan},
    "a best that is infinite": {"best": -math.inf},
    "a best of 2^2000": {"best": 2**2000},
    "a best that is a list": {"best": [1]},
}.items():
    add(f"value: {name}", with_values(**values), MISFIT)
add("value: weights that are numbers", with_values(model={"x": 1}), OTHER_MODEL)
add("value: an average of numbers", with_values(ema={"n_averaged": 1, "module.x": 5}), None)
add("value: a config of numbers", with_values(config={1: 2}), "arch: missing")


def without_epoch(run_dir: Path, checkpoint: dict) -> None:
    del checkpoint["epoch"]
    torch.save(checkpoint, run_dir / LAST)


def with_name(name: str) -> Callable[[Path, dict], None]:
    """One weight more."""
    return lambda run_dir, c: torch.save(c | {"model": c["model"] | {name: torch.ones(1)}}, run_dir / LAST)


add("value: no epoch", without_epoch, MISFIT, both=False)
add("value: a weight's name of 10 MB", with_name(LONG), OTHER_MODEL)
add("value: a weight's name that steers the terminal", with_name("\x1b[2J\nerror: ok"), r"\x1b[2J\nerror: ok")


def in_state(path: str, value: Any) -> Callable[[Path, dict], None]:
    """Set a key of the trainer's state. Only train.py reads it."""

    def make(run_dir: Path, checkpoint: dict) -> None:
        *parents, last = path.split(".")
        place = checkpoint
        for key in parents:
            place = place[int(key) if isinstance(place, list) or key.isdecimal() else key]
        place[last] = value
        torch.save(checkpoint, run_dir / LAST)

    return make


BAD_RANDOM = {
    "numpy": ("MT19937", bytes(624 * 4), 2**31 - 1, 0, 0.0),
    "python": (3, bytes(625 * 4 - 1), None),
    "torch": torch.ones(10, dtype=torch.uint8),
}
for generator, value in BAD_RANDOM.items():
    add(f"state: {generator}'s random state", in_state(f"random.{generator}", value), MISFIT, both=False)
for name, (path, value) in {
    "NumPy's random state before its memory": ("random.numpy", ("MT19937", bytes(624 * 4), -5, 0, 0.0)),
    "NumPy's random state of another size": ("random.numpy", ("MT19937", bytes(4000), 1000, 0, 0.0)),
    "another generator": ("random.numpy", ("os.system", bytes(624 * 4), 1, 0, 0.0)),
    "no random state": ("random", None),
    "groups that are a text": ("optimizer.param_groups", "x"),
    "too many groups": ("optimizer.param_groups", [{"params": [0]}] * 10_000),
    "parameters of other numbers": ("optimizer.param_groups.0.params", [7] * 3),
    "a learning rate of a text": ("optimizer.param_groups.0.lr", "import os"),
    "metrics that are none": ("train_metrics", 5),
    "pending batches of texts": ("train_metrics.pending", ["abc"]),
    "batches without targets": ("train_metrics.pending", [(torch.ones(3), "x")]),
    "losses of texts": ("train_metrics.means.loss", [(3, "x")]),
    "means without end": ("train_metrics.means.loss", [(2**60, torch.ones(3))]),
}.items():
    add(f"state: {name}", in_state(path, value), MISFIT, both=False)
add("state: a part's size of a text", in_state("part_size", "x"), MISFIT)


def in_optimizer(key: str, value: Any) -> Callable[[Path, dict], None]:
    """Set what the optimizer keeps for every weight: fused, torch's kernels look at no shape."""

    def make(run_dir: Path, checkpoint: dict) -> None:
        for values in checkpoint["optimizer"]["state"].values():
            values[key] = value
        torch.save(checkpoint, run_dir / LAST)

    return make


for key in ("exp_avg", "exp_avg_sq", "step"):
    for value in (torch.ones(1), torch.ones(3, 3), torch.ones(0), torch.ones(64 * 10)):
        add(f"state: {key} of {value.numel()} numbers", in_optimizer(key, value), MISFIT, both=False)


def without_a_moment(run_dir: Path, checkpoint: dict, **args: bool) -> None:
    """What the first step asks for."""
    checkpoint["config"]["optimizer"]["args"] |= args
    for values in checkpoint["optimizer"]["state"].values():
        del values["exp_avg_sq"]
    torch.save(checkpoint, run_dir / LAST)


for name, make in {"fused": without_a_moment, "not fused": partial(without_a_moment, fused=False)}.items():
    add(f"state: no exp_avg_sq, {name}", make, "does not fit this run: KeyError: 'exp_avg_sq'", both=False)


def warm_restarts(run_dir: Path, checkpoint: dict) -> None:
    """A cycle of no epochs, which the scheduler divides by."""
    checkpoint["config"]["lr_scheduler"] = {"type": "CosineAnnealingWarmRestarts", "args": {"T_0": 2}}
    checkpoint["lr_scheduler"] = {"T_i": 0, "T_cur": 1, "last_epoch": 1}
    torch.save(checkpoint, run_dir / LAST)


add("state: a cycle of no epochs", warm_restarts, "lr_scheduler: ", both=False)
for name, (path, value) in {
    "a schedule's method": ("lr_scheduler.step", 5),
    "a schedule's optimizer": ("lr_scheduler.optimizer", {"param_groups": []}),
    "a group's key of its own": ("optimizer.param_groups.0.hook", "import os"),
}.items():
    add(f"state: {name}", in_state(path, value), None)
add("state: deep values of the optimizer", in_state("optimizer.param_groups.0.betas", DEEP), UNSAFE)


# ----------------------------------------------------------------------------------------- the other files of a run


def link(name: str, target: str) -> Callable[[Path, dict], None]:
    def make(run_dir: Path, checkpoint: dict) -> None:
        (run_dir / name).unlink(missing_ok=True)
        (run_dir / name).symlink_to(target)

    return make


for name in ("train.log", "metrics.jsonl", "config.json", "environment.json", "tensorboard", "figures"):
    add(f"{name} leads outside", link(name, "../outside/canary"), "is a link", both=False)
    add(f"{name} leads to what is not there", link(name, "../outside/x"), "is a link", both=False)
add("train.log leads in a circle", link("train.log", "train.log"), "is a link", both=False)
add("tensorboard leads to a folder", link("tensorboard", "../outside"), "is a link", both=False)
add("test_metrics.json leads outside", link("test_metrics.json", "../outside/canary"), "is a link", both=False)


def linked_checkpoint(run_dir: Path, checkpoint: dict) -> None:
    """The checkpoint that is resumed lies elsewhere: it is read, and stays."""
    (run_dir / LAST).rename(run_dir.parent / "outside" / "mine.pth")
    (run_dir / LAST).symlink_to("../outside/mine.pth")


def temporary_links(run_dir: Path, checkpoint: dict) -> None:
    """Links where this process will write its temporary files."""
    for name in (LAST, "model_best.pth", "config.json", "environment.json", "metrics.jsonl", "test_metrics.json"):
        (run_dir / f".{name}.{os.getpid()}.tmp").symlink_to("../outside/canary")


def pipe(name: str) -> Callable[[Path, dict], None]:
    def make(run_dir: Path, checkpoint: dict) -> None:
        (run_dir / name).unlink(missing_ok=True)
        os.mkfifo(run_dir / name)

    return make


def written(name: str, content: str | bytes) -> Callable[[Path, dict], None]:
    content = content.encode() if isinstance(content, str) else content
    return lambda run_dir, checkpoint: (run_dir / name).write_bytes(content) and None


add("checkpoint-last.pth leads outside", linked_checkpoint, "is a link", both=False)
add("checkpoint-last.pth leads in a circle", link(LAST, LAST), "no such checkpoint")
add("checkpoint-last.pth leads to endless zeros", link(LAST, "/dev/zero"), "no such checkpoint")
add("checkpoint-last.pth is a pipe", pipe(LAST), "no such checkpoint")
add("temporary files lead outside", temporary_links, "is a link", both=False)
add("train.log is a pipe", pipe("train.log"), "is a link, or no file", both=False)
add("metrics.jsonl is a pipe", pipe("metrics.jsonl"), "is a link, or no file", both=False)
add("environment.json is a pipe", pipe("environment.json"), "is a link, or no file", both=False)
for name, content in {
    "a list": "[]",
    "a number": "5",
    "nested deeply": "[" * 100_000,
    "no text": b"\xff\xfe\x00",
    "runs that are a number": '{"resumed": 5}',
    "nothing": "",
}.items():
    add(f"environment.json: {name}", written("environment.json", content), "environment.json is damaged", both=False)
for name, content in {
    "a list": "[]\n",
    "a text": '{"epoch": "x"}\n',
    "no epoch": "{}\n",
    "a loss that is NaN": '{"epoch": 1, "loss": NaN, "val_loss": Infinity}\n',
    "texts for losses": '{"epoch": 1, "loss": "x", "val_loss": []}\n',
    "nested deeply": "[" * 100_000 + "\n",
    "a number of 10,000 digits": '{"epoch": ' + "9" * 10_000 + "}\n",
    "no text": b'\xff\xfe{"epoch": 1}\n',
    "10 MB in one line": '{"epoch": 1, "x": "' + LONG + '"}\n',
    "zeros": bytes(MIB),
}.items():
    add(f"metrics.jsonl: {name}", written("metrics.jsonl", content), None)
for name, content in {"an epoch that is NaN": '{"epoch": NaN}\n', "a line is missing": '{"epoch": 0}\n'}.items():
    add(f"metrics.jsonl: {name}", written("metrics.jsonl", content), "lines are missing", both=False)
add("metrics.jsonl: a line in the middle", written("metrics.jsonl", '{"epoch": "\x1b[2J"}\n{"epoch": 1}\n'),
    "line 1 is no record", both=False)  # fmt: skip
add("environment.json: of another run", written("environment.json", '{"run": "x"}'), "not the folder of", both=False)
add("no environment.json", lambda run_dir, c: (run_dir / "environment.json").unlink(), "not the folder of", both=False)
add("no metrics.jsonl", lambda run_dir, c: (run_dir / "metrics.jsonl").unlink(), "is missing", both=False)
for name, content in {"hostile": '{"trainer": {"save_dir": "../outside"}}', "no JSON": "{" * 1000}.items():
    add(f"config.json beside the checkpoint: {name}", written("config.json", content), None)
add("a module beside the checkpoint", written("stranger.py", "open('../outside/x', 'w')"), None)
add("a package that torch looks for", written("sitecustomize.py", "open('../outside/x', 'w')"), None)


# ------------------------------------------------------------------------------------------------- hostile data


def with_data(
    class_name: str, arguments: dict, files: dict[str, bytes], key: str = "data_loader"
) -> Callable[[Path, dict], None]:
    """A checkpoint whose config reads what the stranger has put beside it."""

    def make(run_dir: Path, checkpoint: dict) -> None:
        for name, content in files.items():
            (run_dir / name).parent.mkdir(parents=True, exist_ok=True)
            (run_dir / name).write_bytes(content)
        in_config(key, {"type": class_name, "args": arguments})(run_dir, checkpoint)

    return make


EVIL = call("os", "system", TOUCH)
PKZ = "cal_housing_py3.pkz"
RAW = [
    f"MNIST/raw/{part}-{kind}-idx{n}-ubyte" for part in ("train", "t10k") for kind, n in (("images", 3), ("labels", 1))
]
for name, content in {
    "code": EVIL,
    "packed code": zlib.compress(EVIL),
    "code before its array": EVIL[:-1] + b"\x8c\x02f8\x94numpy_array_alignment_bytes\x94K\x10ub" + bytes(10),
    "a bomb": zlib.compress(bytes(64 * MIB)),
    "nothing": b"",
}.items():
    make = with_data("CaliforniaHousingDataLoader", {"batch_size": 10, "data_home": "{run}"}, {PKZ: content})
    add(f"California's file: {name}", make, "cannot be read")
for name, content in {
    "code": EVIL,
    "a header alone": struct.pack(">IIII", 2051, 60000, 28, 28),
    "2^96 images": struct.pack(">IIII", 2051, 2**32 - 1, 2**32 - 1, 2**32 - 1),
    "a type that is none": struct.pack(">II", 0x0000FF01, 10),
    "nothing": b"",
}.items():
    make = with_data("MnistDataLoader", {"batch_size": 10, "data_dir": "{run}"}, dict.fromkeys(RAW, content))
    add(f"MNIST's files: {name}", make, "are not MNIST's")
add("MNIST's files: torch's, with code", with_data("MnistDataLoader", {"batch_size": 10, "data_dir": "{run}"}, {
    "MNIST/processed/training.pt": EVIL, "MNIST/processed/test.pt": EVIL}), "MNIST")  # fmt: skip
PROGRAM = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) (w) file\n"
add("an image that is a program", with_data("ImageFolderDataLoader", {"batch_size": 10, "data_dir": "{run}"}, {
    "train/a/1.jpg": PROGRAM, "train/b/1.jpg": PROGRAM, "test/a/1.jpg": PROGRAM}), "cannot be read")  # fmt: skip
arguments = {"backbone": "resnet18", "num_classes": 10, "weights": "{run}/weights.pth"}
for name, content in {"code": EVIL, "a script": b"#!/bin/sh", "nothing": b""}.items():
    make = with_data("TorchvisionModel", arguments, {"weights.pth": content}, key="arch")
    add(f"a file of weights: {name}", make, "weights.pth is damaged")
