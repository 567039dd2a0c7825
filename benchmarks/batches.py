"""What does a batch of data in memory cost, beside plain indexing?

python -m benchmarks.batches

Plain indexing is `data[indices], target[indices]` with indices that lie ready, in turns in one process and one thread.
"""

import argparse

import torch

from base import BaseDataLoader, InMemoryDataset
from benchmarks.timing import print_times, time_in_turns

SHAPES = [(32, 784, True), (100, 8, True), (1000, 1, False)]  # batch size, features, shuffle
N_SAMPLES = {32: 6400, 100: 20_000, 1000: 1000}
N_PASSES = {32: 1, 100: 1, 1000: 100}


def main() -> None:
    """Print microseconds per batch, minimum and median, and the ratios."""
    parser = argparse.ArgumentParser("python -m benchmarks.batches", description="Batches of data in memory.")
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds

    torch.set_num_threads(1)
    print(f"{rounds} rounds in turns, torch {torch.__version__}, 1 thread; microseconds per batch")
    for batch_size, n_features, shuffle in SHAPES:
        n_samples, n_passes = N_SAMPLES[batch_size], N_PASSES[batch_size]
        data, target = torch.randn(n_samples, n_features), torch.zeros(n_samples, dtype=torch.int64)
        loader = BaseDataLoader(InMemoryDataset(data, target), batch_size, shuffle=shuffle)
        batches = torch.randperm(n_samples).split(batch_size)

        def plain(data=data, target=target, batches=batches, n_passes=n_passes) -> int:
            return sum(1 for _ in range(n_passes) for indices in batches if (data[indices], target[indices]))

        def ours(loader=loader, n_passes=n_passes) -> int:
            n_batches = 0
            for epoch in range(1, n_passes + 1):
                loader.set_position(epoch)
                n_batches += sum(1 for _ in loader)
            return n_batches

        title = f"batches of {batch_size} x {n_features}, {'shuffled' if shuffle else 'in order'}"
        print_times(title, time_in_turns({"plain indexing": plain, "BaseDataLoader": ours}, rounds))


if __name__ == "__main__":
    main()
