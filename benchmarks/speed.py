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
from unittest.mock import patch

import torch

from benchmarks import commands, data, files, frameworks
from benchmarks.loops import by_hand, template
from benchmarks.measure import HEADER, Contestants, Row, in_own_processes, in_turns
from benchmarks.workloads import BOOKKEEPING, CALIFORNIA, MNIST, MNIST_IMAGES, QUADRATIC, RESNET, TRAINING, Workload

Comparison = tuple[str, str, Contestants]  # name, unit, contestants
STEP = "microseconds per step"


def training(workload: Workload, quick: bool, contestants: dict[str, Callable[[Workload], float]]) -> Comparison:
    """A workload as a comparison of functions that train it."""
    measured = workload.quick() if quick else workload
    return workload.name, STEP, {name: partial(run, measured) for name, run in contestants.items()}


def against_a_loop_by_hand(quick: bool) -> Iterator[Comparison]:
    """Whole trainings beside the loop that everybody writes first."""
    for workload in [*TRAINING, BOOKKEEPING]:
        yield training(workload, quick, {"by hand": by_hand, "template": template})


def data_alone(quick: bool) -> Iterator[Comparison]:
    """What a batch costs before anything is done with it."""
    share = 0.01 if quick else 1
    unit = "microseconds per batch"
    yield "batch-32x784", unit, data.reading(int(60_000 * share), 784, 32, shuffle=True)
    yield "batch-100x8", unit, data.reading(int(100_000 * share), 8, 100, shuffle=True)
    yield "batch-1000x1", unit, data.reading(1000, 1, 1000, shuffle=False, n_passes=int(1000 * share))
    yield "augmentation", "microseconds per image", data.augmenting(int(2560 * share))
    with tempfile.TemporaryDirectory() as name, patch.dict(os.environ, TORCH_HOME=name):  # decoded images go there
        folder = Path(name)
        yield "csv-first-batch", "microseconds per row", files.table(folder, int(1_000_000 * share))
        yield "images-start", "microseconds per file", files.images_start(folder / "links", int(20_000 * share))
        files.write_images(folder / "images", int(2000 * share))
        yield "images-epoch", "microseconds per image", files.images_epoch(folder / "images")


def against_frameworks(quick: bool) -> Iterator[Comparison]:
    """The same trainings in the frameworks that are installed."""
    contestants = {"template": template, "torch DataLoader": partial(frameworks.time_step, frameworks.torch_loop)}
    for name, framework in frameworks.FRAMEWORKS.items():
        if frameworks.is_installed(name):
            contestants[name] = partial(frameworks.time_step, framework)
        else:
            print(f"{name} is left out: pip install -r requirements-bench.txt")
    for workload in (MNIST_IMAGES, MNIST, CALIFORNIA, QUADRATIC):
        name, unit, runs = training(workload, quick, contestants)
        with in_own_processes(runs) as isolated:
            yield name, unit, isolated


def whole_commands(quick: bool) -> Iterator[Comparison]:
    """Processes, from their start to their end."""
    with tempfile.TemporaryDirectory() as folder:
        for name, contestants in commands.comparisons(folder, epochs=1 if quick else 5).items():
            yield name, "seconds", contestants


def on_a_gpu(quick: bool, device: str = "cuda") -> Iterator[Comparison]:
    """As the first, and ResNet-18."""
    if device == "cuda" and not torch.cuda.is_available():
        print("left out: there is no GPU here")
        return
    for workload in [*TRAINING, RESNET]:
        yield training(workload, quick, {"by hand": partial(by_hand, device=device),
                                         "template": partial(template, device=device)})  # fmt: skip


TABLES = {
    "ours": against_a_loop_by_hand,
    "data": data_alone,
    "frameworks": against_frameworks,
    "commands": whole_commands,
    "gpu": on_a_gpu,
}


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
    parser.add_argument("--workloads", nargs="+", metavar="NAME", help="such as quadratic; by default all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's numbers there")
    parser.add_argument("--quick", action="store_true", help="a few steps of each; their figures mean nothing")
    args = parser.parse_args(argv)
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    return args


def main(argv: list[str] | None = None) -> None:
    """Measure, print and write."""
    args = parse_args(argv)
    torch.set_num_threads(1)
    machine = describe_machine()
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    rows = []
    for name in args.tables:
        print(f"\n{name:28}{HEADER}")
        for row_name, unit, contestants in TABLES[name](args.quick):
            if args.workloads is None or row_name in args.workloads:
                rows.append(Row(name, row_name, unit, in_turns(contestants, args.rounds)))
                print(rows[-1], flush=True)
    for name in set(args.workloads or []) - {row.name for row in rows}:
        print(f"\nThese tables have no {name}")
    if args.json:
        text = json.dumps({"machine": machine, "rounds": args.rounds, "rows": [vars(row) for row in rows]}, indent=1)
        args.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
