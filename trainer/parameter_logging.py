"""Supervised training that shows what a tiny model has learned."""

from trainer.trainer import Trainer


class ParameterLoggingTrainer(Trainer):
    """Also logs every parameter that is a single number, by its name, as it is at the epoch's end.

    For models whose parameters mean something, such as the weight and the bias of a line.
    """

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        log = super()._train_epoch(epoch)
        return log | {name: p.item() for name, p in self.model.named_parameters() if p.numel() == 1}
