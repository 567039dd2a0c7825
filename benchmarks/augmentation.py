"""How much does random augmentation cost, image by image and by the batch?

python -m benchmarks.augmentation

Random crop with a padding of 4 pixels, random horizontal flip and normalization of 32 x 32 colour images, a different
draw for each image, in turns in one process and one thread. The first two are torchvision's transforms, called for
each image, without the making of a batch; the last is a whole pass of this template's loader, batches and all.
"""

import argparse

import torch

from base import BaseDataLoader, InMemoryDataset
from benchmarks.timing import print_times, time_in_turns
from data_loader.transforms import Augmentation, Normalize

MEAN, STD = [0.49, 0.48, 0.45], [0.25, 0.24, 0.26]
PADDING = 4


def main() -> None:
    """Print microseconds per image, minimum and median, and the ratios."""
    parser = argparse.ArgumentParser("python -m benchmarks.augmentation", description="Augmentation by the batch.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--images", type=int, default=1024)
    args = parser.parse_args()

    from torchvision.transforms import v2

    torch.set_num_threads(1)
    images = torch.randint(0, 256, (args.images, 3, 32, 32), dtype=torch.uint8)
    pil_images = [v2.functional.to_pil_image(image) for image in images]
    random_steps = [v2.RandomCrop(32, PADDING), v2.RandomHorizontalFlip()]
    to_normal = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    of_pil = v2.Compose([*random_steps, v2.PILToTensor(), *to_normal])
    of_tensor = v2.Compose([*random_steps, *to_normal])
    augment = Augmentation(
        [{"type": "RandomCrop", "args": {"padding": PADDING}}, {"type": "RandomHorizontalFlip", "args": {}}]
    )
    dataset = InMemoryDataset(images, torch.zeros(args.images), Normalize(MEAN, STD), augment)
    loader = BaseDataLoader(dataset, batch_size=128)

    times = time_in_turns(
        {
            "torchvision, a PIL image at a time": lambda: sum(1 for _ in map(of_pil, pil_images)),
            "torchvision, a tensor at a time": lambda: sum(1 for _ in map(of_tensor, images)),
            "BaseDataLoader, by the batch": lambda: sum(len(data) for data, _ in loader),
        },
        args.rounds,
    )
    print_times(f"{args.rounds} rounds in turns, torch {torch.__version__}, 1 thread; microseconds per image", times)


if __name__ == "__main__":
    main()
