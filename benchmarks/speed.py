"""How much slower is the template than a loop written by hand?

python -m benchmarks.speed                    the default config
python -m benchmarks.speed -c FILE -s ...     another one

Both train the same model with the same optimizer, loss, batch size and number of steps on data in memory, in turns in
one process and one thread. The template goes its public way, with metrics, metrics.jsonl, TensorBoard and checkpoints
as configured, but without validation, which the loop by hand does not do either.
"""

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from logger.logger import setup_logging
from parse_config import ConfigParser, apply_settings, read_json
from utils.seed import seed_everything

EPOCHS = 5


def build(settings: dict[str, Any]) -> tuple[ConfigParser, nn.Module, torch.optim.Optimizer, Any]:
    """The config's model, optimizer and data loader, seeded, without validation."""
    settings = copy.deepcopy(settings)
    settings["data_loader"]["args"]["validation_split"] = 0.0
    settings["trainer"] |= {"monitor": "off", "early_stop": 0, "epochs": EPOCHS}
    config = ConfigParser(settings)
    seed_everything(config["seed"])
    model = config.init_obj("arch")
    return config, model, config.init_obj("optimizer", model.parameters()), config.init_obj("data_loader")


def template(settings: dict[str, Any]) -> tuple[float, int]:
    """Train the template's way; returns seconds and steps."""
    config, model, optimizer, data_loader = build(settings)
    scheduler = config.init_obj("lr_scheduler", optimizer)
    trainer = config.init_trainer(
        model, config.init_ftn("loss"), config.init_metrics(), optimizer, data_loader, None, scheduler
    )
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        trainer.train(Path(folder))
        return time.perf_counter() - start, trainer.step


def by_hand(settings: dict[str, Any]) -> tuple[float, int]:
    """Train with the loop that everybody writes first; returns seconds and steps."""
    config, model, optimizer, data_loader = build(settings)
    criterion, batch_size = config.init_ftn("loss"), data_loader.batch_size
    data, target = data_loader.samples.get_batch(torch.arange(len(data_loader.samples)))  # transformed beforehand
    model.train()
    steps = 0
    start = time.perf_counter()
    for _ in range(EPOCHS):
        order = torch.randperm(len(data))
        for i in range(0, len(data), batch_size):
            batch = order[i : i + batch_size]
            optimizer.zero_grad()
            loss = criterion(model(data[batch]), target[batch])
            loss.backward()
            optimizer.step()
            steps += 1
    return time.perf_counter() - start, steps


def main() -> None:
    """Print microseconds per step, minimum and median, and their ratio."""
    parser = argparse.ArgumentParser("python -m benchmarks.speed", description="Template against a loop by hand.")
    parser.add_argument("-c", "--config", type=Path, default=Path("config.json"))
    parser.add_argument("-s", "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    settings = read_json(args.config)
    apply_settings(settings, args.set)

    setup_logging(verbosity=0)
    torch.set_num_threads(1)
    times: dict[str, list[float]] = {"by hand": [], "template": []}
    for round_number in range(args.rounds + 1):
        for name, train in (("by hand", by_hand), ("template", template)):
            seconds, steps = train(settings)
            if round_number > 0:  # the first round warms up
                times[name].append(seconds / steps * 1e6)

    print(f"{args.config}, {args.rounds} rounds in turns, torch {torch.__version__}, 1 thread; microseconds per step")
    for name, values in times.items():
        print(f"    {name:<10} min {min(values):8.1f}   median {statistics.median(values):8.1f}")
    minimum, median = (f(times["template"]) / f(times["by hand"]) for f in (min, statistics.median))
    print(f"    {'ratio':<10} min {minimum:8.3f}   median {median:8.3f}")


if __name__ == "__main__":
    main()
