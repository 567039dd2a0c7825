"""Several processes train as one: how they start and end, each one's share of a step, models spread over them."""

from trainer.parallel.data_parallel import DataParallel, share_evaluation, share_steps
from trainer.parallel.fully_sharded import place_model
from trainer.parallel.launch import main_first, remember, run_command, start

__all__ = ["DataParallel", "main_first", "place_model", "remember", "run_command", "share_evaluation", "share_steps",
           "start"]  # fmt: skip
