"""What a model said of each sample, as a table and as pictures."""

from logger.figures.predictions import Predictions, prediction_table

__all__ = ["Predictions", "prediction_table"]
