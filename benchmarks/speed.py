"""What does the template cost, and what do others?

python -m benchmarks.speed                           every table; docs/performance.md explains them
python -m benchmarks.speed --tables ours             only the comparison with a loop by hand
python -m benchmarks.speed --json speed.json         also every round's numbers

Behind each contestant stand the minimum and the median over the rounds, and for all but the first how both differ from
the first one's.
"""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import commands, frameworks
from benchmarks.loops import by_hand, read_by_hand, read_by_loader, template
from benchmarks.measure import HEADER, Row, in_turns
from benchmarks.workloads import BOOKKEEPING, CALIFORNIA, MNIST, QUADRATIC, READING, RESNET, TRAINING, Workload

STEP, BATCH, SECONDS = "microseconds per step", "microseconds per batch", "seconds"


def against_a_loop_by_hand(args: argparse.Namespace) -> Iterator[Row]:
    for workload in [*TRAINING, BOOKKEEPING]:
        yield from compare(args, "ours", STEP, workload, {"by hand": by_hand, "template": template})
    for workload in READING:
        yield from compare(args, "ours", BATCH, workload, {"indexing": read_by_hand, "BaseDataLoader": read_by_loader})


def against_frameworks(args: argparse.Namespace) -> Iterator[Row]:
    contestants = {"template": template, "torch DataLoader": partial(frameworks.time_step, frameworks.torch_loop)}
    for name, framework in frameworks.FRAMEWORKS.items():
        if frameworks.is_installed(name):
            contestants[name] = partial(frameworks.time_step, framework)
        else:
            print(f"{name} is left out: pip install -r requirements-bench.txt")
    for workload in (MNIST, CALIFORNIA, QUADRATIC):
        yield from compare(args, "frameworks", STEP, workload, contestants)


def whole_commands(args: argparse.Namespace) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        for name, contestants in commands.comparisons(folder, epochs=1 if args.quick else 5).items():
            if is_wanted(args, name):
                yield Row("commands", name, SECONDS, in_turns(contestants, args.rounds))


def on_a_gpu(args: argparse.Namespace, device: str = "cuda") -> Iterator[Row]:
    if device == "cuda" and not torch.cuda.is_available():
        print("left out: there is no GPU here")
        return
    contestants = {"by hand": partial(by_hand, device=device), "template": partial(template, device=device)}
    for workload in [*TRAINING, RESNET]:
        yield from compare(args, "gpu", STEP, workload, contestants)


TABLES = {
    "ours": against_a_loop_by_hand,
    "frameworks": against_frameworks,
    "commands": whole_commands,
    "gpu": on_a_gpu,
}


def compare(
    args: argparse.Namespace,
    table: str,
    unit: str,
    workload: Workload,
    contestants: dict[str, Callable[[Workload], float]],
) -> Iterator[Row]:
    """A workload's row, if it is wanted. Before it is measured, a few steps of every contestant warm up."""
    if not is_wanted(args, workload.name):
        return
    quick = workload.quick()
    for run in contestants.values():
        run(quick)
    measured = quick if args.quick else workload
    yield Row(table, workload.name, unit,
              in_turns({name: partial(run, measured) for name, run in contestants.items()}, args.rounds))  # fmt: skip


def is_wanted(args: argparse.Namespace, name: str) -> bool:
    return args.workloads is None or name in args.workloads


def describe_machine() -> dict[str, Any]:
    """On what the figures were measured."""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.speed", description="What the template costs.")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="how often each contestant runs (9)")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES), help="by default all")
    parser.add_argument("--workloads", nargs="+", metavar="NAME", help="the rows, as in the first column; all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's numbers there")
    parser.add_argument("--quick", action="store_true", help="a few steps of each; their figures mean nothing")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Measure, print and write."""
    args = parse_args(argv)
    torch.set_num_threads(1)
    machine = describe_machine()
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    rows = []
    for name in args.tables:
        print(f"\n{name:28}{HEADER}")
        for row in TABLES[name](args):
            print(row, flush=True)
            rows.append(row)
    if args.json:
        text = json.dumps({"machine": machine, "rounds": args.rounds, "rows": [vars(row) for row in rows]}, indent=1)
        args.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
