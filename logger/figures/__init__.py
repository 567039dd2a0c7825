"""What a model said of each sample, as a table and as pictures."""

from logger.figures.curves import best_epoch
from logger.figures.draw import draw_figures
from logger.figures.images import image_grid, is_images
from logger.figures.predictions import Predictions, heads_of, prediction_table
from logger.figures.results import write_predictions
from logger.figures.style import BLUE, GREY, VERMILLION, in_style, new_figure, save_figure

__all__ = ["BLUE", "GREY", "VERMILLION", "Predictions", "best_epoch", "draw_figures", "heads_of", "image_grid",
           "in_style", "is_images", "new_figure", "prediction_table", "save_figure", "write_predictions"]  # fmt: skip
