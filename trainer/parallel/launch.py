"""Several processes as one run: how they start, end and start again. torchrun starts them, or train.py for n_gpu > 1.

torchrun --nproc_per_node=2 train.py -c config.json
"""

import logging
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, Store, TCPStore  # pyright: ignore[reportPrivateImportUsage]

from trainer.parallel.data_parallel import check_same
from utils.config import definitions
from utils.errors import TrainingInterrupted, UserError
from utils.errors import run_command as run_alone
from utils.parallel import from_main, largest, rank, world_size

SECONDS_TO_CONNECT = 60  # to torchrun, which is on this machine or on that of rank 0
RUN_DIR = "run_dir"
Main = Callable[[list[str] | None], None]

# ------------------------------------------------------------------------------------ one of several processes


def run_command(main: Main, argv: list[str] | None = None) -> int:
    """`utils.errors.run_command` in a process that torchrun has started: it joins the others, and ends here.

    Of an error, only the first process that has one speaks: the others mostly fail because that one did. After a
    restart by torchrun, `main` is told to go on with the run: -r, and its folder.
    """
    code = 1
    argv = sys.argv[1:] if argv is None else argv
    if os.environ["RANK"] != "0":
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
    try:
        store = _torchruns_store()
        failures = PrefixStore(os.environ["TORCHELASTIC_RESTART_COUNT"], store)
        n = int(os.environ["WORLD_SIZE"])
        dist.init_process_group(store=failures, rank=int(os.environ["RANK"]), world_size=n)
        argv = _to_go_on(argv, store)
        code = run_alone(lambda argv: _speak_first(main, argv, failures), argv)
    except Exception:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # at once: torchrun would end it with a signal, as others have ended, or gloo's threads abort it


def _torchruns_store() -> Store:
    """What all processes of a run can read and write, also after a restart."""
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(host, port, is_master=False, timeout=timedelta(seconds=SECONDS_TO_CONNECT))


def _speak_first(main: Main, argv: list[str] | None, failures: Store) -> None:
    """Run `main`. If another process has failed before this one does, end silently, with its exit code."""
    try:
        main(argv)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        largest(0)
    except TrainingInterrupted:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        largest(0)  # until rank 0 has saved: when one process ends, torchrun ends the others
        raise
    except Exception as error:
        own = f"{2 if isinstance(error, UserError) else 1} {os.environ['RANK']}"
        first = failures.compare_set("failed", "", own).decode()
        if first != own:
            sys.exit(int(first.split()[0]))
        _record(error)
        raise


def _record(error: Exception) -> None:
    """Note an error for torchrun's report, which is the last that is read of a run; a UserError is one line of it."""
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    way, cause = error.__traceback__, error.__cause__
    if isinstance(error, UserError):
        error.__traceback__, error.__cause__, error.__suppress_context__ = None, None, True
    get_error_handler().record_exception(error)
    error.__traceback__, error.__cause__ = way, cause


@contextmanager
def main_first() -> Iterator[None]:
    """Let the first process of each machine go through the block before its others, so that only one downloads."""
    is_first = os.environ.get("LOCAL_RANK", "0") == "0"
    if not is_first:
        largest(0)
    yield
    if is_first:
        largest(0)


# ------------------------------------------------------------------------------------- a restart by torchrun


def remember(run_dir: Path) -> None:
    """Note a run's folder, for these processes to be restarted in."""
    if world_size() > 1 and rank() == 0:
        _torchruns_store().set(RUN_DIR, str(run_dir.resolve()))


def _to_go_on(argv: list[str], store: Store) -> list[str]:
    """The command line, so that it goes on with the run of the processes before this restart, if there were any."""
    run_dir = Path(store.get(RUN_DIR).decode()) if store.check([RUN_DIR]) else None
    has_begun = from_main(run_dir is not None and any(run_dir.glob("*.pth")))
    if has_begun:
        for i in [i for i, word in enumerate(argv) if word == "--run-id"]:  # which would be a new folder
            argv = argv[:i] + argv[i + 2 :]
        return [*argv, "-r", str(run_dir)]
    if run_dir is not None and rank() == 0:
        shutil.rmtree(run_dir, ignore_errors=True)  # nothing is lost, and the new run may have its name
    return argv


# ------------------------------------------------------------------------------------------- without torchrun


def start(run: Callable[[Any], Any], config: Any, argv: list[str] | None) -> None:
    """`run(config)` in this process, one of several or not; or train.py in a new one for each of n_gpu GPUs."""
    if world_size() > 1:
        check_same("config", config.config)
        name = config["trainer"]["type"]
        if name != "Trainer" and not definitions("trainer")[name].is_a("Trainer"):
            raise UserError(f"trainer.type: {name} is no Trainer, and trains in one process only")
        _take_a_gpu(config)
    n = 1 if world_size() > 1 or config.args.device is not None else _n_gpus(config["n_gpu"])
    if n == 1:
        run(config)
    elif code := _launch(n, sys.argv[1:] if argv is None else argv):
        sys.exit(code)


def _take_a_gpu(config: Any) -> None:
    """From now on, `cuda` is the GPU of this process's number on its machine."""
    wanted, number = config.args.device, int(os.environ["LOCAL_RANK"])
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None or wanted == "cpu" or (wanted is None and config["n_gpu"] == 0):
        return
    if wanted not in (None, accelerator.type) or number >= torch.accelerator.device_count():
        raise UserError(f"this machine has {torch.accelerator.device_count()} x {accelerator.type}, each process needs "
                        "one of its own: start fewer, with no number in -d, or stay on the CPUs: -d cpu")  # fmt: skip
    torch.accelerator.set_device_index(number)


def _n_gpus(wanted: int) -> int:
    """How many GPUs to use of those that n_gpu asks for; 1 stands for one or none."""
    if wanted < 2:
        return 1
    n_found = torch.cuda.device_count()
    if 1 < n_found < wanted:
        logging.getLogger(__name__).warning("n_gpu is %d, torch sees %d: that is what this run uses.", wanted, n_found)
    return max(1, min(wanted, n_found))


def _launch(n: int, argv: list[str]) -> int:
    """Run train.py in n processes on this machine, as torchrun does. Returns its exit code, the first failure's."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the processes say what is wrong
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // n)))
    config = LaunchConfig(1, 1, n, run_id="train", rdzv_endpoint="localhost:0", rdzv_backend="c10d", max_restarts=0)
    script = Path(__file__).resolve().parents[2] / "train.py"
    try:
        elastic_launch(config, sys.executable)(str(script), *argv)
        return 0
    except SignalException as stopped:  # torch has handed it on, and the processes have saved
        return 128 + stopped.sigval
    except ChildFailedError as error:
        killed = [f for f in error.failures.values() if f.exitcode < 0 and f.exitcode != -signal.SIGTERM]
        for failure in killed:
            print(f"error: process {failure.pid} of the run was ended by {failure.signal_name()}", file=sys.stderr)
        return 1 if killed else max(failure.exitcode for failure in error.failures.values())
