"""Features that were learned elsewhere and stay as they are."""

from torch import nn


class FrozenFeatures(nn.Module):
    """Beside BaseModel: a model whose `features` do not learn, so that only its other layers do."""

    features: nn.Module
    is_frozen = False

    def freeze_features(self) -> None:
        """Let neither the features' weights nor their running statistics change from here on."""
        self.is_frozen = True
        self.features.requires_grad_(False)
        self.features.eval()

    def train(self, mode: bool = True) -> "FrozenFeatures":
        """As ever, but the features stay in evaluation mode: their batch normalization must not learn either."""
        super().train(mode)
        if self.is_frozen:
            self.features.eval()
        return self
