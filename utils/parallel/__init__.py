"""Several processes that train as one: who they are, what they tell each other, what of a batch is whose."""

from utils.parallel.group import check_same, from_main, gather, largest, on_main, own_share, rank, sum_up, world_size

__all__ = ["check_same", "from_main", "gather", "largest", "on_main", "own_share", "rank", "sum_up", "world_size"]
