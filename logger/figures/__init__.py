"""What a model said of each sample, as a table and as pictures."""

from logger.figures.images import image_grid, is_images
from logger.figures.predictions import Predictions, heads_of, prediction_table
from logger.figures.style import new_figure

__all__ = ["Predictions", "heads_of", "image_grid", "is_images", "new_figure", "prediction_table"]
