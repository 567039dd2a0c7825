"""A first look at the data that a config names, as one HTML file: samples, classes, ranges, correlations, leaks.

python -m tools.data -c config.json                                       writes saved/<name>/data.html
python -m tools.data -c config.json -s data_loader.args.path=other.csv -o other.html
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from parse_config import ConfigParser
from utils.config import definitions, read_json
from utils.errors import UserError, printable, run_command
from utils.files import write_atomically

MAX_FILES = 2000  # images whose sizes are looked at


def main(argv: list[str] | None = None) -> None:
    """Build the loaders, read the samples once, write the page."""
    parser = argparse.ArgumentParser("python -m tools.data", description="Write an HTML file on a config's data.")
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE", help="a config")
    parser.add_argument("-s", "--set", nargs="+", default=[], metavar="KEY=VALUE", help="change keys of the config")
    parser.add_argument("-o", "--output", type=Path, help="default: data.html in save_dir/<name>")
    args = parser.parse_args(argv)
    config = ConfigParser(read_json(args.config), str(args.config), settings=args.set)
    default = Path(config["trainer"]["save_dir"]).expanduser() / config["name"] / "data.html"
    output = args.output or default
    if args.output and (not output.parent.is_dir() or output.is_dir()):
        raise UserError(f"-o {output}: it must be a file in a folder that is there")
    text = data_page(config)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, lambda file: file.write(text.encode()))
    print(printable(f"Written to {output}, {len(text.encode()) / 1e6:.1f} MB"))


def data_page(config: ConfigParser) -> str:
    """The page on what a checked config's loaders hand out.

    Raises UserError for images that cannot be read, and if the training part cannot be.
    """
    from data_loader.build import build_loaders, build_test_loader
    from tools.data import sections
    from tools.data.checks import checks
    from tools.data.part import read_parts
    from tools.page import page
    from utils.seed import seed_everything

    entries = [config[key] for key in ("data_loader", "valid_data_loader", "test_data_loader") if config[key]]
    for folder in {entry["args"]["data_dir"] for entry in entries if entry["type"] == "ImageFolderDataLoader"}:
        definitions("data_loader")["ImageFolderDataLoader"].load().require_readable(folder)
    seed_everything(config["seed"])
    loader, valid_loader = build_loaders(config)
    loaders: dict[str, Any] = {"training": loader} | ({"validation": valid_loader} if valid_loader is not None else {})
    faults = []
    try:
        loaders["test"] = build_test_loader(config)
    except UserError as error:
        faults.append(f"There is no test part: {error}")
    parts, unread = read_parts(loaders)
    if not parts or parts[0].name != "training":
        raise UserError(unread[0])
    classes = [str(name) for name in loader.classes]
    arguments = config["data_loader"].get("args", {})
    path = Path(str(arguments.get("path", "")))
    files = getattr(getattr(loader.samples, "images", None), "paths", [])[:MAX_FILES]
    content = [
        sections.check_list(checks(parts, classes), [*faults, *unread]),
        sections.parts_table(parts),
        sections.images(parts[0], classes),
        sections.image_sizes(files) if files else None,
        sections.targets(parts, classes, loader.in_original_units),
        sections.raw_table(path, arguments) if path.suffix == ".csv" and path.is_file() else None,
        sections.features(parts[0], getattr(loader, "feature_names", ())),
    ]
    return page(
        config["name"], f"The data of {config['data_loader']['type']}", sections.story(parts, classes), *content
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
