"""Reading batches from memory, and augmenting images."""

from functools import partial

import torch

from base import BaseDataLoader, InMemoryDataset
from benchmarks.measure import Contestants, microseconds
from data_loader.transforms import Augmentation, Normalize

MEAN, STD = [0.49, 0.48, 0.45], [0.25, 0.24, 0.26]
PADDING = 4


def reading(n_samples: int, n_features: int, batch_size: int, shuffle: bool, n_passes: int = 1) -> Contestants:
    """Batches of float32 (batch, features) and class numbers, by indices that lie ready and by a BaseDataLoader."""
    data, target = torch.randn(n_samples, n_features), torch.randint(10, (n_samples,))
    ready = (torch.randperm(n_samples) if shuffle else torch.arange(n_samples)).split(batch_size)
    data_loader = BaseDataLoader(InMemoryDataset(data, target), batch_size, shuffle=shuffle)
    work = {
        "indexing": lambda: sum(1 for _ in range(n_passes) for batch in ready if (data[batch], target[batch])),
        "BaseDataLoader": lambda: sum(1 for _ in range(n_passes) for _ in data_loader),
    }
    return {name: partial(microseconds, each) for name, each in work.items()}


def augmenting(n_images: int) -> Contestants:
    """Random crop, random flip and normalization of 32 x 32 colour images, a different draw for each image.

    torchvision's transforms are called image by image, and make no batches; the loader's pass makes them.
    """
    from torchvision.transforms import v2

    images = torch.randint(256, (n_images, 3, 32, 32), dtype=torch.uint8)
    pil_images = [v2.functional.to_pil_image(image) for image in images]
    at_random = [v2.RandomCrop(32, PADDING), v2.RandomHorizontalFlip()]
    to_floats = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    of_pil, of_tensor = v2.Compose([*at_random, v2.PILToTensor(), *to_floats]), v2.Compose([*at_random, *to_floats])
    augment = Augmentation([
        {"type": "RandomCrop", "args": {"padding": PADDING}}, {"type": "RandomHorizontalFlip", "args": {}}
    ])  # fmt: skip
    dataset = InMemoryDataset(images, torch.zeros(n_images), Normalize(MEAN, STD), augment)
    data_loader = BaseDataLoader(dataset, batch_size=128)
    work = {
        "BaseDataLoader": lambda: sum(len(data) for data, _ in data_loader),
        "torchvision, PIL": lambda: sum(1 for _ in map(of_pil, pil_images)),
        "torchvision, tensors": lambda: sum(1 for _ in map(of_tensor, images)),
    }
    return {name: partial(microseconds, each) for name, each in work.items()}
