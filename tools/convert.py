"""Turn a checkpoint of victoresque/pytorch-template into one that test.py, tools.export and tools.predict read.

python -m tools.convert old/saved/models/<name>/<run_id>/model_best.pth model_best.pth

The model's class and the data loader's are to be in this project by then. The config is the config.json beside the old
checkpoint, or that of -c. Such a checkpoint holds an object of the old project's ConfigParser, and to load that would
run the old project's code. So what stands behind the weights and the optimizer's state is cut off unread, and the rest
is loaded as tensors and plain values only.
"""

import argparse
import pickletools
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from parse_config import ConfigParser
from utils.config import read_json
from utils.errors import UserError, run_command

NOT_PLAIN = ("monitor_best", "config")  # the last two of a checkpoint's keys; the first may be a number of NumPy's


def main(argv: list[str] | None = None) -> None:
    """Load the old checkpoint, see that its weights fit the model, write the new one."""
    parser = argparse.ArgumentParser("python -m tools.convert", description="Read a checkpoint of the original.")
    parser.add_argument("old", type=Path, metavar="OLD", help="a checkpoint of victoresque/pytorch-template")
    parser.add_argument("new", type=Path, metavar="NEW", help="the checkpoint to write")
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="its config (default: config.json beside it)")
    args = parser.parse_args(argv)
    if args.new.exists():
        raise UserError(f"{args.new} exists; name a new file")
    where = args.config or args.old.with_name("config.json")
    config = ConfigParser(read_json(where), str(where))

    from utils.checkpoint import load_model, save_checkpoint, snapshot

    old = load_old(args.old)
    weights = old["state_dict"]
    if all(name.startswith("module.") for name in weights):  # of DataParallel
        weights = {name.removeprefix("module."): weight for name, weight in weights.items()}
    load_model(config.init_model(), weights)
    state = {"model": weights, "optimizer": {}, "lr_scheduler": None, "config": config.config, "epoch": old["epoch"]}
    save_checkpoint(snapshot(state), args.new)
    print(f"{args.old}, epoch {old['epoch']}, written to {args.new}. Test it: python test.py -r {args.new}")


def load_old(path: Path) -> dict[str, Any]:
    """What stands in an old checkpoint before NOT_PLAIN. Raises UserError if it is something else."""
    from utils.checkpoint import load_plain

    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.name
        try:
            with zipfile.ZipFile(path) as archive, zipfile.ZipFile(plain, "w") as shortened:
                for record in archive.infolist():
                    content = archive.read(record)
                    shortened.writestr(record, cut(content) if record.filename.endswith("/data.pkl") else content)
        except FileNotFoundError:
            raise UserError(f"{path}: no such checkpoint") from None
        except Exception as error:  # zipfile and pickletools raise many kinds
            raise UserError(f"{path} is no checkpoint that torch 1.6 or newer has saved: {error}") from error
        try:
            content = load_plain(plain)
        except UserError:
            raise UserError(f"{path} holds objects of the old project's code beside its config; in the old project, "
                            "save only arch, epoch, state_dict and optimizer") from None  # fmt: skip
    kinds = {"state_dict": dict, "epoch": int}
    if not (isinstance(content, dict) and all(isinstance(content.get(key), kinds[key]) for key in kinds)):
        raise UserError(f"{path} is no checkpoint of the original template: it has no state_dict and epoch")
    return content


def cut(pickled: bytes) -> bytes:
    """A pickled dict without the entries from the first key of NOT_PLAIN on. Reads the opcodes, and runs none."""
    place = next((place for _, word, place in pickletools.genops(pickled) if word in NOT_PLAIN), None)
    return pickled if place is None else pickled[:place] + b"u."  # "set these items" and "stop"


if __name__ == "__main__":
    sys.exit(run_command(main))
