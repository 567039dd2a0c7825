"""Several processes that train as one: who they are, what they tell each other, what of a batch is whose."""

from utils.parallel.group import from_main, gather, joined, largest, on_main, own_share, rank, spread, whole, world_size

__all__ = ["from_main", "gather", "joined", "largest", "on_main", "own_share", "rank", "spread", "whole", "world_size"]
