"""Evaluate a checkpoint on the test split.

python test.py -r saved/<name>/<run_id>/model_best.pth     the checkpoint is enough: its config is inside
python test.py -r saved/<name>/<run_id>                    a run's best checkpoint
python test.py -r saved/<name>/<run_id> -s data_loader.args.path=other.csv    ... on other data, all of them
"""

import math
import sys

from parse_config import ConfigParser
from utils.errors import printable, run_command


def main(argv: list[str] | None = None) -> None:
    """Load the checkpoint, build what its config names, evaluate, write what came out beside it."""
    config = ConfigParser.from_args("test", argv)

    from data_loader.build import build_test_loader
    from logger.figures import Predictions, write_predictions
    from logger.logger import setup_logging
    from trainer.build import build_tester
    from utils.device import prepare_device
    from utils.files import write_json
    from utils.seed import seed_everything

    setup_logging(config["trainer"]["verbosity"])
    device = prepare_device(config.args.device, config["n_gpu"])
    seed_everything(config["seed"])

    # ---- the test split, and a trainer with the trained model
    data_loader = build_test_loader(config)
    predictions = Predictions()
    trainer = build_tester(config, config.checkpoint, device, predictions)

    # ---- evaluate, and keep what the model says of each sample
    results = trainer.evaluate(data_loader) | {"n_samples": data_loader.n_samples}
    results.pop("Predictions", None)
    print(printable(f"{config.resume}: epoch {config.checkpoint.get('epoch', 'unknown')}, tested on {device}\n"))
    for name, value in results.items():
        print(f"    {name:<16} {value:>10.4f}" if isinstance(value, float) else f"    {name:<16} {value:>10,}")

    # ---- write it down
    path = config.test_file("test_metrics.json")
    write_json({name: value if math.isfinite(value) else None for name, value in results.items()}, path)
    print(printable(f"\nWritten to {path}; beside it {write_predictions(predictions, data_loader, config)}"))


if __name__ == "__main__":
    sys.exit(run_command(main))
