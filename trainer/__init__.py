"""Update rules: the supervised one, and those of the examples that need another."""

from trainer.trainer import Trainer

__all__ = ["Trainer"]
