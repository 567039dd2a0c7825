"""Make ordinary checkpoints, one file each, of a run's sharded ones (trainer.sharded_checkpoints).

python -m tools.merge saved/<name>/<run_id>

test.py and the other tools read both kinds, but a sharded one cannot be copied without the folder beside it. This
process's memory has to hold a checkpoint.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from utils.errors import UserError, printable, run_command


def main(argv: list[str] | None = None) -> None:
    """Replace each checkpoint whose parts lie in a folder beside it."""
    parser = argparse.ArgumentParser("python -m tools.merge", description="Make one file of each sharded checkpoint.")
    parser.add_argument("run_dir", type=Path, metavar="RUN", help="a run's folder")
    run_dir = parser.parse_args(argv).run_dir
    files = sorted(run_dir.glob("*.pth"))
    if not files:
        raise UserError(f"{run_dir} holds no checkpoint")

    from logger.run_dir import lock_folder
    from utils.checkpoint import load_checkpoint, save_checkpoint

    lock_folder(run_dir)
    n_merged = 0
    for path in files:
        checkpoint = load_checkpoint(path)
        if checkpoint.pop("n_parts", 1) > 1:
            checkpoint["optimizer"]["state"] = in_one_piece(checkpoint["optimizer"]["state"])
            save_checkpoint(checkpoint, path)
            n_merged += 1
    print(printable(f"{run_dir}: {n_merged} of {len(files)} checkpoints merged; the others hold everything already"))


def in_one_piece(state: Any) -> Any:
    """An optimizer's state with each tensor's rows in one piece."""
    from utils.parallel import joined

    if not isinstance(state, dict):
        return joined(state)
    return {key: in_one_piece(value) for key, value in state.items()}


if __name__ == "__main__":
    sys.exit(run_command(main))
