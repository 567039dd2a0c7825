"""Write a trained model in a format that other programs read.

python -m tools.export -r saved/<name>/<run_id> --format onnx                      the run's best checkpoint
python -m tools.export -r saved/<name>/<run_id>/checkpoint-last.pth --format state_dict -o weights.pt

    format          holds                  is read by
    state_dict      the weights            torch.load(FILE, weights_only=True), into the same class
    safetensors     the weights            safetensors, of any framework
    torch_export    model with weights     torch.export.load(FILE).module(), without the class
    onnx            model with weights     onnxruntime and many others, without torch

A model with weights takes batches of any size.
"""

import argparse
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from parse_config import ConfigParser
from utils.config import named
from utils.errors import UserError, run_command

if TYPE_CHECKING:
    from base import BaseModel


class Format(NamedTuple):
    """How a format is written, the file's suffix, and the packages beyond torch that it needs."""

    write: Callable[["BaseModel", ConfigParser, IO[bytes]], Any]
    suffix: str
    packages: tuple[str, ...] = ()


def main(argv: list[str] | None = None) -> None:
    """Load the checkpoint, build its model as test.py does, write it."""
    args = parse_args(argv)
    chosen = FORMATS[args.format]
    missing = [package for package in chosen.packages if importlib.util.find_spec(package) is None]
    if missing:
        raise UserError(f"--format {args.format} needs {', '.join(missing)}: pip install {' '.join(missing)}")
    if not args.resume.exists():
        raise UserError(f"{args.resume}: no such checkpoint or run folder")

    from utils.checkpoint import open_checkpoint
    from utils.files import write_atomically
    from utils.seed import seed_everything

    path, checkpoint = open_checkpoint(args.resume, prefer_best=True)
    config = ConfigParser(checkpoint["config"], where=str(path), trusted=False)
    config.checkpoint = checkpoint
    seed_everything(config["seed"])
    model = choose(config.trained_model(checkpoint), args.model, [*named(config["arch"])])

    output = args.output or path.with_suffix(chosen.suffix)
    if output.resolve() == path.resolve():
        raise UserError(f"-o {output} is the checkpoint itself; name another file")
    try:
        write_atomically(output, lambda file: chosen.write(model, config, file))
    except OSError as error:
        raise UserError(f"{output}: cannot be written: {error.strerror or error}") from None
    print(f"{path}, epoch {checkpoint['epoch']}, written to {output} as {args.format}")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser("python -m tools.export", description="Write a trained model for other programs.")
    add = parser.add_argument
    add("-r", "--resume", type=Path, required=True, metavar="PATH", help="a checkpoint, or a run's folder (its best)")
    add("--model", metavar="NAME", help="of several models by name, the one to write (default: the first)")
    add("--format", choices=FORMATS, required=True, help="weights only, or (torch_export, onnx) model with weights")
    add("-o", "--output", type=Path, metavar="FILE", help="the file to write (default: beside the checkpoint)")
    return parser.parse_args(argv)


def choose(model: Any, name: str | None, known: list[str]) -> "BaseModel":
    """Of several models the one of this name, or the first. Raises UserError if there is no such."""
    if name is not None and name not in known:
        raise UserError(
            f"--model {name}: {'the models are ' + ', '.join(known) if any(known) else 'there is one only'}"
        )
    return model[name or known[0]] if any(known) else model


# --------------------------------------------------------------------------------------------------- the formats


def write_state_dict(model: "BaseModel", config: ConfigParser, file: IO[bytes]) -> None:
    """The weights, by name, as torch saves them."""
    import torch

    torch.save(model.state_dict(), file)


def write_safetensors(model: "BaseModel", config: ConfigParser, file: IO[bytes]) -> None:
    """The weights, by name, in a file that cannot hold code."""
    import torch
    from safetensors.torch import save

    # the format refuses tensors that share memory, as tied weights do
    weights = {name: weight.clone(memory_format=torch.contiguous_format) for name, weight in model.state_dict().items()}
    file.write(save(weights))


def write_torch_export(model: "BaseModel", config: ConfigParser, file: IO[bytes]) -> None:
    """The model as a graph of torch operations, with its weights."""
    import torch

    torch.export.save(trace(model, config), file)


def write_onnx(model: "BaseModel", config: ConfigParser, file: IO[bytes]) -> None:
    """The model as a graph of ONNX operations, with its weights, in one file (of at most 2 GB)."""
    import torch

    program = torch.onnx.export(trace(model, config), dynamo=True, verbose=False)
    assert program is not None  # as without dynamo
    file.write(program.model_proto.SerializeToString())


def trace(model: "BaseModel", config: ConfigParser) -> Any:
    """The model, its outputs in the data's units, as a torch.export.ExportedProgram for batches of any size."""
    import torch

    from data_loader.build import build_test_loader
    from utils.data import map_tensors

    loader = build_test_loader(config)

    class InOriginalUnits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, data: Any) -> Any:
            return map_tensors(loader.in_original_units, self.model(data))

    # two samples of the test split; of one, torch would conclude that every batch has one
    data, *_ = next(iter(loader))
    example = model.example_input(data[[0, -1]])
    return torch.export.export(InOriginalUnits().eval(), (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))


FORMATS = {
    "state_dict": Format(write_state_dict, ".pt"),
    "safetensors": Format(write_safetensors, ".safetensors", ("safetensors",)),
    "torch_export": Format(write_torch_export, ".pt2"),
    "onnx": Format(write_onnx, ".onnx", ("onnx", "onnxscript")),
}


if __name__ == "__main__":
    sys.exit(run_command(main))
