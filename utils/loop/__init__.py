"""What a training loop needs beside the step: averages of metrics, the learning rate, signals."""

from utils.loop.compilation import Compilation
from utils.loop.fitting import compare, forward
from utils.loop.metric_tracker import MAX_BATCHES, Metric, MetricTracker, per_epoch
from utils.loop.moving_average import MovingAverage
from utils.loop.non_finite import SkippingStep, all_finite, divergence, gradients_are_finite, restore_unless, step_if
from utils.loop.optimizers import fit_state, parameters_of
from utils.loop.out_of_memory import smaller_part
from utils.loop.schedule import Schedule
from utils.loop.stop_signals import StopSignals
from utils.loop.threads import WORTH, choosing_threads, n_multiplications, using_threads
from utils.loop.weights_reader import WeightsReader

__all__ = [
    "MAX_BATCHES",
    "WORTH",
    "Compilation",
    "Metric",
    "MetricTracker",
    "MovingAverage",
    "Schedule",
    "SkippingStep",
    "StopSignals",
    "WeightsReader",
    "all_finite",
    "choosing_threads",
    "compare",
    "divergence",
    "fit_state",
    "forward",
    "gradients_are_finite",
    "n_multiplications",
    "parameters_of",
    "per_epoch",
    "restore_unless",
    "smaller_part",
    "step_if",
    "using_threads",
]
