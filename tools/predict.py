"""Predict with a trained model: rows of CSV files, pictures, or numbers.

python -m tools.predict -r saved/<name>/<run_id> rows.csv                      rows of a table, without a target
python -m tools.predict -r saved/<name>/<run_id> rows.csv --csv answers.csv    ... with all probabilities, to a file
python -m tools.predict -r saved/<name>/<run_id> cat.jpg pictures/             pictures, and those in folders
python -m tools.predict -r saved/<name>/<run_id> -- 5.1 3.5 1.4 0.2            one sample of numbers

An input that does not fit is named, and the others are predicted. Of a table, the numbers are a row's, in the order of
the training's columns; for another data loader they are what the loader gives the model. In your own code:

    from tools.predict import load

    predictor = load("saved/<name>/<run_id>")
    table = predictor("rows.csv")     # or a DataFrame, a list of dicts, or a tensor, the model's input
"""

import argparse
import io
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parse_config import ConfigParser
from utils.config import definitions
from utils.errors import UserError, printable, run_command

if TYPE_CHECKING:
    import torch
    from pandas import DataFrame

BATCH_SIZE = 256
MAX_ROWS = 100  # that are shown on a terminal
NUMBER_LOSSES = ("cross_entropy", "nll_loss", "CrossEntropyLoss", "NLLLoss")  # whose classes have no other names

logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> None:
    """Predict each input, say what does not fit, show or write the table."""
    parser = argparse.ArgumentParser("python -m tools.predict", description="Predict with a trained model.")
    add = parser.add_argument
    add(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="CSV files, or pictures and folders of them; or, after --, the numbers of one sample",
    )
    add("-r", "--resume", type=Path, required=True, metavar="PATH", help="a checkpoint, or a run's folder (its best)")
    add("-d", "--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps, xpu or a GPU's number")
    add("-s", "--set", nargs="+", default=[], metavar="KEY=VALUE", help="keys of the run's config to change")
    add("--csv", type=Path, metavar="FILE", help="write the whole table there")
    args = parser.parse_args(argv)
    predictor = load(args.resume, args.device, args.set)

    import pandas as pd

    sources = [_numbers(args.inputs)] if all(map(_is_number, args.inputs)) else args.inputs
    tables = []
    for source in sources:
        try:
            batch, names, problems, notes = predictor.read(source)
        except UserError as error:
            problems = [str(error)]
        else:
            if len(sources) > 1:  # the name of a row is its number
                names = [f"{source}:{name}" if name.isdecimal() else name for name in names]
            tables.append(predictor.predict(batch, names, notes))
        for words in problems:
            print(printable(f"{source}: {words}" if isinstance(source, str) else words), file=sys.stderr)
    if not tables:
        raise UserError("nothing could be predicted")
    table = pd.concat(tables, ignore_index=True).fillna({"note": ""})
    if args.csv is None:
        _show(table)
    else:
        from utils.files import write_atomically

        write_atomically(args.csv, lambda file: table.to_csv(file, index=False))
        print(printable(f"{len(table)} predictions written to {args.csv}"))


def load(run: str | Path, device: str | None = None, settings: Iterable[str] = ()) -> "Predictor":
    """The model of a run's folder (its best) or of a checkpoint; the training's data need not be there any more.

    device: as for test.py's -d. settings: "KEY=VALUE" each, which change the run's config.
    Raises UserError if there is no such run, or it was trained before checkpoints held what predictions need.
    """
    if not Path(run).exists():
        raise UserError(f"{run}: no such checkpoint or run folder")
    from utils.checkpoint import open_checkpoint
    from utils.device import prepare_device
    from utils.seed import seed_everything

    path, checkpoint = open_checkpoint(Path(run), prefer_best=True)
    config = ConfigParser(checkpoint["config"], str(path), trusted=False, settings=settings)
    config.checkpoint = checkpoint
    known = definitions("data_loader")[config["data_loader"]["type"]].parameters[0]
    if "fitted" in known and not config.checkpoint.get("data", {}).get("fitted"):
        raise UserError(f"{path} does not hold what was learnt of its training data, such as means; train anew")
    seed_everything(config["seed"])
    return Predictor(config, prepare_device(device, config["n_gpu"]))


class Predictor:
    """A trained model, and how its inputs are made. Make it with `load`."""

    def __init__(self, config: ConfigParser, device: "torch.device"):
        self.config, self.device = config, device
        self.fitted = config.checkpoint.get("data", {}).get("fitted") or {}
        self.loader = _without_data(definitions("data_loader")[config["data_loader"]["type"]].load(), self.fitted)
        self.model = config.trained_model(config.checkpoint).to(device)

    def __call__(self, inputs: Any) -> "DataFrame":
        """Predict, and log a warning for each input that does not fit.

        inputs: what the run's data loader reads: the path of a CSV file, of a picture, or of a folder of them; for a
            table also an open file, a DataFrame, or a list of dicts; or a tensor, the model's input, (samples, ...).
        Returns a row for each: `input`, its name; `prediction`, a class or a value in original units; for classes
        `probability`, that of the prediction, and one for each of up to 20 classes, `probability_<class>`; `note`, if
            some values of a row are not like those of the training: which ones.
        Raises UserError if it cannot be read.
        """
        batch, names, problems, notes = self.read(inputs)
        for words in problems:
            logger.warning("%s", words)
        return self.predict(batch, names, notes)

    def read(self, inputs: Any) -> tuple["torch.Tensor", list[str], list[str], dict[int, str]]:
        """The model's input, a name for each sample, in words what does not fit, and by sample. See `__call__`."""
        import torch

        read_inputs = getattr(self.loader, "read_inputs", None)
        if isinstance(inputs, torch.Tensor):
            return inputs, [str(number + 1) for number in range(len(inputs))], [], {}
        if read_inputs is None:
            if isinstance(inputs, list) and not isinstance(inputs[0], dict):
                return self.read(torch.tensor([inputs], dtype=torch.float32))
            name = type(self.loader).__name__
            raise UserError(f"{name} has no read_inputs, which would read {inputs}; give the numbers of one sample")
        arguments = dict(self.config["data_loader"].get("args", {}))
        try:
            if "columns" in self.fitted and not isinstance(inputs, str | Path | io.TextIOBase):
                inputs = self._as_csv(inputs)
                arguments |= {"separator": ",", "decimal": "."}
            return read_inputs(self.fitted, inputs, **arguments)
        except (ValueError, OSError) as error:
            raise UserError(str(error)) from error

    def _as_csv(self, rows: Any) -> io.StringIO:
        """A DataFrame, a list of dicts, or the values of one row in the order of the training's columns, as a file."""
        import pandas as pd

        if isinstance(rows, list) and not isinstance(rows[0], dict):
            names = list(self.fitted.get("columns", ()))
            if len(rows) != len(names):
                raise ValueError(f"{len(rows)} numbers for the {len(names)} columns {', '.join(names)}")
            rows = [dict(zip(names, rows, strict=True))]
        text = io.StringIO()
        pd.DataFrame(rows).to_csv(text, index=False)
        return text

    def predict(self, batch: "torch.Tensor", names: Sequence[str], notes: Mapping[int, str] = {}) -> "DataFrame":
        """The table of `__call__` for a model's input, a name for each sample, and notes on some of them."""
        import torch

        from logger.figures import prediction_table
        from utils.data import cat_batches, map_tensors

        outputs = []
        with torch.inference_mode():
            for part in batch.split(BATCH_SIZE):
                outputs.append(map_tensors(lambda tensor: tensor.cpu(), self.model(part.to(self.device))))
        [output] = cat_batches([(output,) for output in outputs])
        output = map_tensors(self.loader.in_original_units, output)
        table = prediction_table(output, classes=self._classes(output))
        table = table.assign(index=list(names)).rename(columns={"index": "input"})
        return table.assign(note=[notes.get(row, "") for row in range(len(table))]) if notes else table

    def _classes(self, output: Any) -> Any:
        """The classes' names, or the numbers of those that the loss has told apart."""
        import torch

        loss = self.config["loss"]
        loss = loss if isinstance(loss, str) else loss["type"]
        if self.loader.classes or loss not in NUMBER_LOSSES or not isinstance(output, torch.Tensor):
            return self.loader.classes
        return [str(number) for number in range(output.shape[1])]


def _without_data(kind: Any, fitted: dict[str, Any]) -> Any:
    """A loader that knows what was learnt and holds no samples: enough for `read_inputs` and `in_original_units`."""
    loader = kind.__new__(kind)
    loader.fitted = fitted
    loader.classes = fitted.get("classes") or fitted.get("target", {}).get("classes") or kind.classes
    return loader


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return not Path(text).exists()


def _numbers(texts: Iterable[str]) -> list[float]:
    return [float(text) for text in texts]


def _show(table: "DataFrame") -> None:
    """The first rows of a table, without the probability of each class."""
    shown = table[[name for name in table if "probability_" not in name]].head(MAX_ROWS)
    print(printable(shown.to_string(index=False, float_format="%.4g")))
    if len(table) > MAX_ROWS:
        print(f"... and {len(table) - MAX_ROWS} more rows: --csv FILE writes them all")


if __name__ == "__main__":
    sys.exit(run_command(main))
