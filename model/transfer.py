"""Transfer learning from an earlier run."""

from pathlib import Path
from typing import Any

from model.cnn import CNN
from model.frozen import FrozenFeatures
from utils.checkpoint import load_checkpoint, load_model, trained_weights
from utils.errors import UserError


class TransferCNN(CNN, FrozenFeatures):
    """A CNN whose features come from another CNN's checkpoint and stay as they are; only its linear layer learns.

    checkpoint: the other run's checkpoint, such as saved/<name>/<run_id>/model_best.pth. None: load nothing, for a
        model whose weights come from its own checkpoint, as when it is tested.
    cnn: arguments of CNN. `num_classes` and `dropout` are free, the others must be the other run's.

    Raises ValueError when the checkpoint is missing, damaged or from another architecture.
    """

    def __init__(self, checkpoint: str | None, **cnn: Any):
        super().__init__(**cnn)
        if checkpoint is not None:
            self._load_features(Path(checkpoint))
        self.freeze_features()

    def _load_features(self, path: Path) -> None:
        try:
            state = trained_weights(load_checkpoint(path))
        except UserError as error:
            raise ValueError(
                f"checkpoint: {error}. Train the first stage before this one. To test or resume a run of this one, "
                "which holds all its weights itself, add -s arch.args.checkpoint=null"
            ) from error
        prefix = "features."
        features = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        try:
            load_model(self.features, features)
        except UserError as error:
            raise ValueError(f"checkpoint: {path}: {error}") from error
