"""The command line of train.py and test.py."""

import argparse
from pathlib import Path

from utils.config.check import accepts
from utils.config.keys import TOP


def make_parser(command: str) -> argparse.ArgumentParser:
    """The options of train.py (`command` = "train") or test.py ("test")."""
    train = command == "train"
    what = "Train the model that a config describes." if train else "Evaluate a checkpoint on the test split."
    parser = argparse.ArgumentParser(f"{command}.py", description=what)
    add = parser.add_argument
    add("-c", "--config", type=Path, metavar="FILE", help="the config; not needed with -r, a checkpoint holds its own")
    add("-r", "--resume", type=Path, metavar="PATH", required=not train,
        help="a checkpoint, or a run's folder: its newest intact checkpoint (test.py: its best)")  # fmt: skip
    add("-d", "--device", help="cpu, cuda, cuda:1, a GPU's number or mps (default: a GPU if there is one)")
    add("-s", "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
        help="change a config key: -s optimizer.args.lr=0.01 trainer.epochs=3")  # fmt: skip
    add("--debug", action="store_true", help="show the traceback of an error too")
    if train:
        add("--lr", "--learning_rate", metavar="LR", help="short for -s optimizer.args.lr=LR")
        add("--bs", "--batch_size", metavar="N", help="short for -s data_loader.args.batch_size=N")
        add("--run-id", metavar="ID", help="the run folder's name (default: the time); with -r: go on in a new folder")
        add("--check", action="store_true", help="try everything on one batch, write nothing, and stop")
    return parser


def parse_args(command: str, argv: list[str] | None) -> argparse.Namespace:
    """The checked command line of train.py or test.py."""
    parser = make_parser(command)
    args = parser.parse_args(argv)
    if not (args.config or args.resume):
        parser.error("say what to train: -c config.json, or -r CHECKPOINT to go on with a run")
    if command == "train":
        if args.run_id is not None and not accepts(TOP["name"].annotation, args.run_id)[0]:
            parser.error(f"--run-id {args.run_id!r} is not a folder's name: no slash, no leading dot")
        shortcuts = {"optimizer.args.lr": args.lr, "data_loader.args.batch_size": args.bs}
        args.set += [f"{key}={value}" for key, value in shortcuts.items() if value is not None]
    return args
