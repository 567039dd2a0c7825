"""Several processes train as one: how they start and end, each one's share of a step, models spread over them."""

from trainer.parallel.data_parallel import DataParallel, share_evaluation, share_steps
from trainer.parallel.fully_sharded import place_model, recompute_blocks
from trainer.parallel.launch import main_first, remember, run_command, start
from trainer.parallel.sharded import shard_checkpoints

__all__ = ["DataParallel", "main_first", "place_model", "recompute_blocks", "remember", "run_command",
           "shard_checkpoints", "share_evaluation", "share_steps", "start"]  # fmt: skip
