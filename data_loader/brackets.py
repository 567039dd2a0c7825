"""Sequences of different lengths: round and square brackets, in order or not."""

from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from base import BaseDataLoader, BaseDataset
from utils.seed import derive_seed

SYMBOLS = "([)]"  # their numbers are 1 to 4; 0 is padding
OPENING, CLOSING = (1, 2), (3, 4)
MAX_PAIRS = 8


class BracketsDataset(BaseDataset):
    """(tokens, target): int64 (length,), from 2 to 16 long, and 1 if every bracket is closed in order, else 0.

    Half of them have one bracket replaced by another, such as ([)] for ([]).
    """

    def __init__(self, n_samples: int, seed: int):
        generator = torch.Generator().manual_seed(seed)
        self.sequences = [_nested(generator) for _ in range(n_samples)]
        self.target = torch.rand(n_samples, generator=generator).lt(0.5).long()
        for tokens in (tokens for tokens, is_right in zip(self.sequences, self.target, strict=True) if not is_right):
            place, step = _draw(len(tokens), generator), 1 + _draw(len(SYMBOLS) - 1, generator)
            tokens[place] = (tokens[place] - 1 + step) % len(SYMBOLS) + 1  # any of the three others

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.sequences[index], self.target[index]


class BracketsDataLoader(BaseDataLoader):
    """Batches of (data, target): {"tokens": int64 (batch, longest), "lengths": int64 (batch,)}, and int64 (batch,).

    n_samples: how many there are to train on, and to test on.
    training: the training sequences; False: others for the test.
    options: those of BaseDataLoader.
    """

    def __init__(
        self, batch_size: int, n_samples: Annotated[int, ">= 1"] = 2000, training: bool = True, **options: Any
    ):
        dataset = BracketsDataset(n_samples, derive_seed(0, int(training)))
        super().__init__(dataset, batch_size, training=training, collate_fn=pad, **options)


def pad(samples: list[tuple[Tensor, Tensor]]) -> tuple[dict[str, Tensor], Tensor]:
    """A batch of sequences of different lengths: each is filled up with 0 to the longest."""
    sequences, targets = zip(*samples, strict=True)
    lengths = torch.tensor([len(tokens) for tokens in sequences])
    return {"tokens": pad_sequence(list(sequences), batch_first=True), "lengths": lengths}, torch.stack(targets)


def _nested(generator: torch.Generator) -> Tensor:
    """Brackets in order: at each place open one, or close the last open one, until all pairs are used."""
    left, is_open, tokens = 1 + _draw(MAX_PAIRS, generator), [], []
    while left or is_open:
        if left and (not is_open or _draw(2, generator)):
            kind = _draw(2, generator)
            left -= 1
            is_open.append(kind)
            tokens.append(OPENING[kind])
        else:
            tokens.append(CLOSING[is_open.pop()])
    return torch.tensor(tokens)


def _draw(n: int, generator: torch.Generator) -> int:
    return int(torch.randint(n, (), generator=generator))
