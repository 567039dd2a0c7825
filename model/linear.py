"""Linear regression."""

from torch import nn

from base import BaseModel


class LinearRegression(nn.Linear, BaseModel):
    """A line, or a plane: torch's own Linear as a whole model, so that its parameters are `weight` and `bias`.

    forward: (batch, in_features) -> (batch, out_features).
    """

    def __init__(self, in_features: int = 1, out_features: int = 1):
        super().__init__(in_features, out_features)
