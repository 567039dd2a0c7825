"""What a model said of each sample, as a table and as pictures."""

from logger.figures.predictions import Predictions, prediction_table
from logger.figures.style import new_figure

__all__ = ["Predictions", "new_figure", "prediction_table"]
