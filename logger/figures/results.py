"""What test.py writes of each sample, beside its numbers."""

from typing import Any

from torch import nn

from logger.figures.draw import draw_figures
from logger.figures.predictions import Predictions, prediction_table
from utils.files import write_atomically
from utils.seed import seed_everything


def write_predictions(predictions: Predictions, data_loader: Any, config: Any) -> str:
    """Write predictions.csv and figures/ where `config.test_file` says, and return in words what is there now.

    predictions: what it kept while the model was evaluated on all samples of data_loader.
    """

    def untrained() -> nn.Module:
        seed_everything(config["seed"])
        return config.init_model()

    batch, written = predictions.batch(), ""
    if batch is not None:
        table = prediction_table(*batch, data_loader.classes, data_loader.sampler.indices)
        write_atomically(config.test_file("predictions.csv"), lambda file: table.to_csv(file, index=False))
        written = "predictions.csv and "
    folder = config.test_file("figures")
    paths = draw_figures(folder, batch, data_loader, untrained, config["trainer"]["monitor"])
    missing = f" ({predictions.left_out})" if predictions.left_out else ""
    return f"{written}{len(paths)} pictures in {folder.name}/{missing}"
