"""Fine-tuning: a network of torchvision with a new last layer; the rest is frozen, or learns too."""

import logging
from pathlib import Path

import torch
from torch import Tensor, nn

from base import BaseModel
from model.frozen import FrozenFeatures
from utils.checkpoint import load_checkpoint, load_model, load_plain, trained_weights
from utils.errors import UserError, did_you_mean

WITHOUT_LOADING = (
    "To test or resume a run that was trained before, which holds all its weights itself, add -s arch.args.weights=null"
)
logger = logging.getLogger(__name__)


class TorchvisionModel(BaseModel, FrozenFeatures):
    """A classifier of torchvision with a new last layer.

    backbone: its name in torchvision.models, such as "resnet18" or "vit_b_16".
    weights: "DEFAULT": torchvision's best, downloaded once and checked against their hash; or the path of a state_dict
        file, whose last layer is not used; or of a run's checkpoint of this model, for a second stage, which is used
        whole. None: random ones, to train from scratch, or for a model whose weights come from its own checkpoint.
    frozen: only the new last layer learns. False: all layers do.
    download: False: torchvision's weights must have been downloaded before.

    forward: (batch, 3, height, width), standardized as the weights expect -> (batch, num_classes), scores.
    Raises ValueError for an unknown backbone, one without a linear layer at its end, and weights that do not fit.
    """

    def __init__(
        self, backbone: str, num_classes: int, weights: str | None, frozen: bool = True, download: bool = True
    ):
        super().__init__()
        self.features = _build(backbone, trained=weights == "DEFAULT", download=download)
        name, last = _last_linear(self.features, backbone)
        self.classifier = nn.Linear(last.in_features, num_classes)
        self.features.set_submodule(name, nn.Identity())
        if weights not in (None, "DEFAULT"):
            _load(self, Path(weights), without=f"{name}.")
        self.untrained = next(self.features.parameters()).clone() if weights is None and frozen else None
        if frozen:
            self.freeze_features()

    def train(self, mode: bool = True) -> "TorchvisionModel":
        weight = next(self.features.parameters())
        if mode and self.untrained is not None and torch.equal(weight.cpu(), self.untrained):
            logger.warning("The features are random and frozen: say weights=DEFAULT in arch.args, or frozen=false to "
                           "train from scratch.")  # fmt: skip
            self.untrained = None
        super().train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


def _build(backbone: str, trained: bool, download: bool) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)  # the classifiers; detection and the like are in modules of their own
    if backbone not in known:
        nearest = did_you_mean(backbone, known)
        raise ValueError(f"backbone {backbone!r} is unknown{nearest}; torchvision has {', '.join(known)}")
    if trained and not download:
        file = Path(torch.hub.get_dir(), "checkpoints", Path(models.get_model_weights(backbone)["DEFAULT"].url).name)
        if not file.is_file():
            raise ValueError(f"weights: there is no {file}, and nothing is downloaded. {WITHOUT_LOADING}")
    try:
        return models.get_model(backbone, weights="DEFAULT" if trained else None)
    except (OSError, RuntimeError) as error:  # no network; a file whose hash is wrong
        raise ValueError(
            f'weights: torchvision\'s weights of {backbone} cannot be had ({error}). Without a network, set "weights" '
            f"to the path of a state_dict file. {WITHOUT_LOADING}"
        ) from error


def _last_linear(network: nn.Module, backbone: str) -> tuple[str, nn.Linear]:
    """The layer that makes the scores, and its name: `fc`, `classifier.6`, `heads.head`, ..."""
    name, layer = [*network.named_modules()][-1]
    if not isinstance(layer, nn.Linear):
        raise ValueError(f"backbone {backbone!r} does not end in a linear layer that could be replaced")
    return name, layer


def _load(model: TorchvisionModel, path: Path, without: str) -> None:
    """Load the features of torchvision's network, or all of a checkpoint's model."""
    if not path.is_file():
        raise ValueError(f"weights: {path}: no such file. {WITHOUT_LOADING}")
    try:
        state = load_plain(path)
    except UserError as error:
        raise ValueError(f"weights: {error}") from error
    if not isinstance(state, dict):
        raise ValueError(f"weights: {path} is not a state_dict, which maps names to tensors")
    try:
        if "config" in state:
            load_model(model, trained_weights(load_checkpoint(path)))
            return
        if not all(isinstance(value, Tensor) for value in state.values()):
            raise ValueError(f"weights: {path} is not a state_dict, which maps names to tensors")
        load_model(model.features, {key: value for key, value in state.items() if not key.startswith(without)})
    except UserError as error:
        raise ValueError(f"weights: {path}: {error}") from error
