"""What a training loop needs beside the step: averages of metrics, the learning rate, signals that stop it."""

from utils.loop.metric_tracker import Metric, MetricTracker, compare, misfit, name_of, per_epoch
from utils.loop.schedule import Schedule
from utils.loop.stop_signals import StopSignals

__all__ = ["Metric", "MetricTracker", "Schedule", "StopSignals", "compare", "misfit", "name_of", "per_epoch"]
