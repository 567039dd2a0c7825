"""Train a model.

python train.py -c config.json                                   a new run in saved/<name>/<run_id>/
python train.py -c config.json -s trainer.epochs=5 --lr 0.01     ... with some keys changed
python train.py -r saved/<name>/<run_id>                         go on where a run stopped
torchrun --nproc_per_node=2 train.py -c config.json              the same training, shared by two processes
"""

import logging
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parse_config import ConfigParser
from utils.errors import run_command

if TYPE_CHECKING:
    import torch

    from trainer import Trainer

logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> None:
    """Read the config, then train, or only try everything once."""
    config = ConfigParser.from_args("train", argv)

    # torch takes a second to import: only after the config was found right
    from data_loader.build import build_test_loader
    from trainer.check import check
    from trainer.parallel import start

    if config.args.check:
        check(config, build_or_resume, build_trainer, build_test_loader)
    else:
        start(run, config, argv)


def run(config: ConfigParser, on_epoch: Callable[[dict[str, float]], Any] | None = None) -> dict[str, Any]:
    """A whole run in its folder, new or resumed. on_epoch: called after each epoch with its record of the log.

    Returns the folder as `run_dir`, and from metrics.jsonl the records of the `last` and the `best` epoch, or None.
    """
    from data_loader.report import report_data
    from logger.logger import setup_logging
    from logger.run_dir import create_run_dir, open_run_dir, record_environment, remove_run_dir
    from logger.run_log import read_metrics
    from logger.writers import report_run
    from trainer.parallel import remember
    from utils.parallel import on_main, rank

    trainer, notes = build_or_resume(config)

    # ---- the run's folder, new or the checkpoint's: from here on files are written, by rank 0 of several processes
    is_new = config.args.resume is None or config.args.run_id is not None
    if is_new:
        place = Path(config["trainer"]["save_dir"]).expanduser(), config["name"], config.args.run_id
        run_dir = on_main(create_run_dir)(*place)
    else:
        run_dir = on_main(open_run_dir)(config.resume.parent, config.checkpoint)
    config.checkpoint = None  # its memory is the training's
    remember(run_dir)
    setup_logging(config["trainer"]["verbosity"], run_dir / "train.log")
    try:
        on_main(record_environment)(run_dir, str(trainer.device), config.config)
        for note in notes:
            logger.info(note)
        logger.debug("%s", trainer.model)
        logger.info("Training in %s on %s", run_dir, trainer.device)
        report_data(trainer.data_loader, trainer.valid_data_loader)
        report_run(trainer, run_dir)
        trainer.train(run_dir, on_epoch)
    except Exception:
        if is_new and rank() == 0 == trainer.step and not any(run_dir.glob("*.pth")):  # the next try may have the name
            remove_run_dir(run_dir)
        raise

    # ---- what came out
    records = on_main(read_metrics)(run_dir)
    best = next((record for record in records if trainer.best == record.get(trainer.monitor, math.nan)), None)
    if trainer.best is not None:
        logger.info("Best %s: %.6g. Test it: python test.py -r %s", trainer.monitor, trainer.best, run_dir)
    return {"run_dir": run_dir, "last": records[-1] if records else None, "best": best}


def build_or_resume(config: ConfigParser) -> tuple["Trainer", list[str]]:
    """The trainer, as the checkpoint left it if there is one, and lines to be shown."""
    from logger.logger import setup_logging
    from utils.device import prepare_device

    setup_logging(config["trainer"]["verbosity"])
    trainer = build_trainer(config, prepare_device(config.args.device, config["n_gpu"]))
    if config.checkpoint is None:
        return trainer, config.notes
    return trainer, [*config.notes, f"Going on from {config.resume}", *trainer.resume(config.checkpoint)]


def build_trainer(config: ConfigParser, device: "torch.device") -> "Trainer":
    """The trainer, with all that the config names: the same seed gives the same one."""
    from data_loader.build import build_loaders
    from data_loader.fingerprint import DataState
    from trainer.build import build_optimizer, build_scheduler, set_threads
    from trainer.parallel import main_first, place_model
    from utils.seed import seed_everything

    seed_everything(config["seed"])

    # ---- data
    with main_first():
        data_loader, valid_data_loader = build_loaders(config)

    # ---- model, loss, metrics
    model = place_model(config.init_model(), device, config["trainer"])
    criterion, metrics = config.init_ftn("loss", device=device), config.init_metrics()

    # ---- optimizer, trainer
    optimizer = build_optimizer(config, model)
    lr_scheduler = build_scheduler(config, optimizer)
    set_threads(config["threads"], model, data_loader.batch_size)
    trainer = config.init_trainer(model, criterion, metrics, optimizer, data_loader, valid_data_loader, lr_scheduler)
    trainer.stateful["data"] = DataState(data_loader)
    return trainer


if __name__ == "__main__":
    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun has started this process, as one of several
        from trainer.parallel import run_command
    sys.exit(run_command(main))
