"""Fine-tuning: a network of torchvision, frozen, with a new last layer."""

from pathlib import Path

import torch
from torch import Tensor, nn

from base import BaseModel
from model.frozen import FrozenFeatures
from utils.checkpoint import load_model, load_plain
from utils.errors import UserError, did_you_mean

WITHOUT_LOADING = (
    "To test or resume a run that was trained before, which holds all its weights itself, add -s arch.args.weights=null"
)


class TorchvisionModel(BaseModel, FrozenFeatures):
    """A classifier of torchvision whose features stay as they are; only a new last layer learns.

    backbone: its name in torchvision.models, such as "resnet18" or "vit_b_16".
    weights: "DEFAULT": torchvision's best, downloaded once and checked against their hash; or the path of a state_dict
        file, whose last layer is not used. None: random ones, for a model whose weights come from its own checkpoint.
    download: False: torchvision's weights must have been downloaded before.

    forward: (batch, 3, height, width), standardized as the weights expect -> (batch, num_classes), scores.
    Raises ValueError for an unknown backbone, one without a linear layer at its end, and weights that do not fit.
    """

    def __init__(self, backbone: str, num_classes: int, weights: str | None, download: bool = True):
        super().__init__()
        self.features = _build(backbone, trained=weights == "DEFAULT", download=download)
        name, last = _last_linear(self.features, backbone)
        self.classifier = nn.Linear(last.in_features, num_classes)
        self.features.set_submodule(name, nn.Identity())
        if weights not in (None, "DEFAULT"):
            _load_features(self.features, Path(weights), without=f"{name}.")
        self.freeze_features()

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


def _load_features(features: nn.Module, path: Path, without: str) -> None:
    if not path.is_file():
        raise ValueError(f"weights: {path}: no such file. {WITHOUT_LOADING}")
    try:
        state = load_plain(path)
    except UserError as error:
        raise ValueError(f"weights: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"weights: {path} is not a state_dict, which maps names to tensors")
    try:
        load_model(features, {key: value for key, value in state.items() if not key.startswith(without)})
    except UserError as error:
        raise ValueError(f"weights: {path}: {error}") from error
