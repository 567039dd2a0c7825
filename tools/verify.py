"""Say whether a run's checkpoints are intact, and prove that training goes on from them bit by bit on this machine.

python -m tools.verify saved/<name>/<run_id>                 replay 5 steps
python -m tools.verify saved/<name>/<run_id> --steps 100     ... or more

Every checkpoint is read as train.py would read it. From the one that `train.py -r saved/<name>/<run_id>` would take,
some steps are trained twice, in memory: the two states must be equal in every bit. Nothing is written.

Exit codes: 0 all is well; 1 a checkpoint is damaged, or the replay fails or differs; 2 wrong usage.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from parse_config import ConfigParser
from train import build_trainer
from utils.errors import UserError, run_command


def main(argv: list[str] | None = None) -> None:
    """Read every checkpoint, then replay from the one that a resume takes."""
    args = parse_args(argv)

    from logger.logger import setup_logging

    setup_logging(verbosity=0)
    files = [*args.run_dir.glob("checkpoint-*.pth"), *args.run_dir.glob("model_best.pth")]
    if not files:
        raise UserError(f"{args.run_dir} holds no checkpoint (checkpoint-*.pth or model_best.pth)")
    n_damaged = report_files(sorted(files, key=lambda path: (len(path.name), path.name)))
    try:
        report_replay(args.run_dir, args.steps)
    except UserError as error:
        print(f"A resume would fail: {error}")
        sys.exit(1)
    if n_damaged:
        sys.exit(1)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser("python -m tools.verify", description="Check a run's checkpoints and its resume.")
    parser.add_argument("run_dir", type=Path, metavar="RUN_FOLDER", help="saved/<name>/<run_id>")
    parser.add_argument("--steps", type=int, default=5, metavar="K", help="how many steps to replay (default: 5)")
    args = parser.parse_args(argv)
    if args.steps < 1:
        parser.error(f"--steps {args.steps}: at least one must be replayed")
    return args


def report_files(paths: list[Path]) -> int:
    """Print a line for each checkpoint; returns how many are damaged."""
    from utils.checkpoint import load_checkpoint, part_files

    n_damaged = 0
    for path in paths:
        try:
            checkpoint = load_checkpoint(path)
        except UserError as error:
            n_damaged += 1
            print(f"DAMAGED  {error}")
        else:
            parts = part_files(path, checkpoint.get("step", 0), checkpoint.get("n_parts", 1))
            size = sum(file.stat().st_size for file in (path, *parts))
            print(f"intact   {path}: epoch {checkpoint.get('epoch')}, step {checkpoint.get('step')}, {size:,} bytes")
    return n_damaged


# ------------------------------------------------------------------------------------------------------ the replay


def report_replay(run_dir: Path, steps: int) -> None:
    """Replay twice and print how it went; SystemExit with code 1 if the two differ.

    Raises UserError where a resume would.
    """
    from utils.checkpoint import open_checkpoint, snapshot

    path, checkpoint = open_checkpoint(run_dir)  # read once: a run under way writes the next one meanwhile
    print(f"train.py -r {run_dir} goes on from {path.name}")
    in_one_process = ["trainer.parallel=ddp"]
    config = ConfigParser(checkpoint["config"], where=str(path), trusted=False, settings=in_one_process)
    config.checkpoint = checkpoint
    first, second = (replay(config, snapshot(checkpoint), steps) for _ in range(2))
    done = f"{first['step'] - checkpoint['step']} steps from it, trained twice:"
    difference = find_difference(first, second)
    if difference:
        print(f"{done} NOT the same, first in {difference}")
        sys.exit(1)
    print(f"{done} weights, optimizer and random state are bit-identical")


class Replayed(Exception):
    """All steps are done."""


def replay(config: ConfigParser, checkpoint: dict[str, Any], steps: int) -> dict[str, Any]:
    """The state some steps after a checkpoint, trained as `train.py -r` does but without a folder.

    At most until the last epoch of the config ends; a run that is done gets one epoch more.
    """
    from utils.checkpoint import snapshot
    from utils.device import prepare_device
    from utils.seed import random_state

    trainer = build_trainer(config, prepare_device(None, config["n_gpu"]))
    trainer.resume(checkpoint)
    trainer.early_stop = 0
    if trainer.epoch >= trainer.epochs:
        trainer.epochs = trainer.epoch + 1
        trainer.schedule.lr_scheduler = None  # the schedule may have ended with the run
    n_left = (trainer.epochs - trainer.epoch) * len(trainer.data_loader) - trainer.batch
    last_step = trainer.step + min(steps, n_left)

    def stop_at_the_last() -> None:
        if trainer.step == last_step:
            raise Replayed

    with suppress(Replayed):
        trainer.train(on_step=stop_at_the_last)
    return snapshot(trainer.state_dict() | {"random": random_state()})


def find_difference(first: Any, second: Any) -> str | None:
    """The first place where two states differ in a bit, such as model.layer.weight; None if they are the same."""
    ours, theirs = dict(leaves(first)), dict(leaves(second))
    for place in ours | theirs:
        if place not in ours or place not in theirs or not is_same(ours[place], theirs[place]):
            return place
    return None


def leaves(state: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor and plain value of nested dicts, lists and tuples, with its dotted place."""
    if isinstance(state, dict | list | tuple):
        for key, value in state.items() if isinstance(state, dict) else enumerate(state):
            yield from leaves(value, f"{place}.{key}".lstrip("."))
    else:
        yield place, state


def is_same(first: Any, second: Any) -> bool:
    """Whether two tensors or plain values are equal in every bit: NaN is NaN, but 0.0 is not -0.0."""
    import torch

    if not (isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)):
        return repr(first) == repr(second)
    same_kind = (first.dtype, first.shape) == (second.dtype, second.shape)
    return same_kind and torch.equal(first.flatten().view(torch.uint8), second.flatten().view(torch.uint8))


if __name__ == "__main__":
    sys.exit(run_command(main))
