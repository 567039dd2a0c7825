"""A config for data of one's own, and the example whose code it needs."""

from pathlib import Path
from typing import Any

from logger.logger import setup_logging
from tools.new_project.files import PROJECT
from tools.new_project.table import config_for_table


def config_from(data: Path, target: str | None, task: str | None) -> tuple[dict[str, Any], Path, list[str]]:
    """The config, the example, and lines that say what was decided; the data's loader says the rest.

    target, task: the column of a table to predict, and whether it holds classes or numbers; None: as it looks.
    Raises UserError for what nothing can be learnt from.
    """
    setup_logging()
    config, lines = config_for_table(data, target, task)
    return config, PROJECT / "configs" / f"csv_{config['data_loader']['args']['task']}.json", lines
