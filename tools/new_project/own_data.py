"""A config for data of one's own, and the example whose code it needs."""

from pathlib import Path
from typing import Any

from logger.logger import setup_logging
from tools.new_project.files import PROJECT
from tools.new_project.pictures import config_for_pictures
from tools.new_project.table import config_for_table
from utils.errors import UserError


def config_from(data: Path, target: str | None, task: str | None) -> tuple[dict[str, Any], list[str], Path]:
    """The config, lines that say what was decided, and the example; the data's loader says the rest.

    target, task: the column of a table to predict, and whether it holds classes or numbers; None: as it looks.
    Raises UserError for what nothing can be learnt from.
    """
    setup_logging()
    if data.is_dir():
        if target or task:
            raise UserError(f"{data} is a folder of pictures, whose classes are its folders: no --target, no --task")
        return *config_for_pictures(data), PROJECT / "configs" / "image_folder.json"
    config, lines = config_for_table(data, target, task)
    return config, lines, PROJECT / "configs" / f"csv_{config['data_loader']['args']['task']}.json"
