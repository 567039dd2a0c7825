"""A network on sequences of different lengths."""

from typing import Annotated

import torch
from torch import Tensor, nn

from base import BaseModel


class SequenceClassifier(BaseModel):
    """A GRU reads the tokens one after the other; its state after the last one decides on the class.

    n_tokens: kinds of tokens, padding (0) included.
    n_hidden: the size of the embedding and of the GRU's state.

    forward: {"tokens": int64 (batch, longest), "lengths": int64 (batch,)} -> scores (batch, n_classes). What stands
    behind a sequence's end has no influence.
    """

    def __init__(
        self,
        n_tokens: Annotated[int, ">= 2"],
        n_classes: Annotated[int, ">= 2"],
        n_hidden: Annotated[int, ">= 1"] = 32,
    ):
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, n_hidden, padding_idx=0)
        self.gru = nn.GRU(n_hidden, n_hidden, batch_first=True)
        self.classify = nn.Linear(n_hidden, n_classes)

    def forward(self, data: dict[str, Tensor]) -> Tensor:
        tokens, lengths = data["tokens"], data["lengths"]
        states, _ = self.gru(self.embedding(tokens))  # (batch, longest, n_hidden)
        each = torch.arange(len(tokens), device=tokens.device)
        return self.classify(states[each, lengths - 1])
