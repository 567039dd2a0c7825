"""Train a model.

python train.py -c config.json                                   a new run in saved/<name>/<run_id>/
python train.py -c config.json -s trainer.epochs=5 --lr 0.01     ... with some keys changed
python train.py -r saved/<name>/<run_id>                         go on where a run stopped
"""

import itertools
import logging
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from parse_config import ConfigParser
from utils.errors import run_command

if TYPE_CHECKING:
    import torch

    from base import BaseTrainer

logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> None:
    """Read the config, build what it names, maybe resume, train."""
    config = ConfigParser.from_args("train", argv)

    # torch takes a second to import: only after the config was found right
    from logger.advice import name_overfitting
    from logger.data_report import report_data
    from logger.logger import setup_logging
    from logger.run_dir import create_run_dir, lock_run_dir, open_run_dir, record_environment, remove_run_dir
    from utils.device import prepare_device
    from utils.files import write_json

    setup_logging(config["trainer"]["verbosity"])
    device = prepare_device(config.args.device, config["n_gpu"], config["threads"])
    trainer = build_trainer(config, device)
    notes = [f"Going on from {config.resume}", *trainer.resume(config.checkpoint)] if config.checkpoint else []
    if config.args.check:
        check(trainer)
        print(*notes, "Everything works: built, trained and validated on one batch, saved and reloaded. Nothing was "
              "written.", sep="\n")  # fmt: skip
        return

    # ---- the run's folder, new or the checkpoint's: from here on files are written
    if config.checkpoint:
        run_dir = open_run_dir(config.resume.parent)
    else:
        run_dir = create_run_dir(Path(config["trainer"]["save_dir"]).expanduser(), config["name"], config.args.run_id)
    lock_run_dir(run_dir)
    setup_logging(config["trainer"]["verbosity"], run_dir / "train.log")
    for note in notes:
        logger.info(note)
    record_environment(run_dir, str(device))
    write_json(config.config, run_dir / "config.json")
    logger.debug("%s", trainer.model)
    logger.info("Training in %s on %s", run_dir, device)
    try:
        report_data(trainer.data_loader)
        trainer.train(run_dir)
    except Exception:
        if trainer.step == 0 and not any(run_dir.glob("*.pth")):  # nothing was trained: the next try may have the name
            remove_run_dir(run_dir)
        raise
    name_overfitting(run_dir, trainer.monitor)
    if trainer.best is not None:
        logger.info("Best %s: %.6g. Test it: python test.py -r %s", trainer.monitor, trainer.best, run_dir)


def build_trainer(config: ConfigParser, device: "torch.device") -> "BaseTrainer":
    """The trainer, with all that the config names: the same seed gives the same one."""
    from utils.seed import seed_everything

    seed_everything(config["seed"])

    # ---- data
    data_loader = config.init_obj("data_loader")
    valid_data_loader = data_loader.split_validation()

    # ---- model, loss, metrics
    model = config.init_obj("arch").to(device)
    criterion = config.init_ftn("loss")
    metrics = config.init_metrics()

    # ---- optimizer, trainer
    optimizer = config.init_optimizer(model)
    lr_scheduler = config.init_obj("lr_scheduler", optimizer)
    return config.init_trainer(model, criterion, metrics, optimizer, data_loader, valid_data_loader, lr_scheduler)


def check(trainer: "BaseTrainer") -> None:
    """Try everything once: a training batch, a validation batch, saving and reloading. Leaves no file."""
    from utils.checkpoint import load_checkpoint, save_checkpoint, snapshot
    from utils.loop import using_threads

    if trainer.compilation is not None:
        trainer.compilation.compile()
    valid_data_loader = trainer.valid_data_loader or trainer.data_loader
    with (
        closing(trainer.data_loader),
        closing(valid_data_loader),
        using_threads(trainer.threads),
        tempfile.TemporaryDirectory() as folder,
    ):
        trainer.data_loader.set_position(epoch=1)
        trainer.train_on_batch(next(iter(trainer.data_loader)))
        trainer.train_metrics.compute()
        trainer.train_metrics.reset()
        trainer.evaluate(itertools.islice(valid_data_loader, 1))
        path = Path(folder) / "checkpoint.pth"
        save_checkpoint(snapshot(trainer.state_dict()) | {"config": trainer.config}, path)
        trainer.load_state_dict(load_checkpoint(path))


if __name__ == "__main__":
    sys.exit(run_command(main))
