"""Against the plain way: one image at a time, by slicing; and against torchvision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data_loader.transforms import Augmentation, Normalize, RandomCrop, RandomHorizontalFlip

CROP, FLIP = {"type": "RandomCrop", "args": {"padding": 4}}, {"type": "RandomHorizontalFlip"}


def images(n=6, channels=3, height=5, width=7, dtype=torch.uint8):
    shape = n, channels, height, width
    return torch.randint(1, 256, shape, generator=torch.Generator().manual_seed(0)).to(dtype)


@settings(max_examples=50)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    padding=st.integers(1, 5),
    dtype=st.sampled_from([torch.uint8, torch.float32]),
    seed=st.integers(0, 2**31),
)
def test_a_crop_is_a_window_of_the_padded_image(shape, padding, dtype, seed):
    batch, (_, _, height, width) = images(*shape, dtype=dtype), shape
    draws = torch.rand(len(batch), 2, generator=torch.Generator().manual_seed(seed))
    found = RandomCrop(padding)(batch, draws)
    assert (found.shape, found.dtype) == (batch.shape, dtype)
    for image, draw, window in zip(batch, draws, found, strict=True):
        padded = np.pad(image.numpy(), ((0, 0), (padding, padding), (padding, padding)))
        top, left = int(draw[0] * (2 * padding + 1)), int(draw[1] * (2 * padding + 1))
        assert np.array_equal(window.numpy(), padded[:, top : top + height, left : left + width])


def test_every_window_is_equally_likely():
    one_pixel = torch.zeros(9000, 1, 5, 5)
    one_pixel[:, :, 2, 2] = 1
    places = RandomCrop(1)(one_pixel, torch.rand(9000, 2, generator=torch.Generator().manual_seed(0))).sum(dim=(0, 1))
    assert (places[1:4, 1:4] - 1000).abs().max() < 5 * 1000**0.5 and places.sum() == places[1:4, 1:4].sum() == 9000


def test_a_crop_does_not_depend_on_the_memory_format():
    batch, draws = images(), torch.rand(6, 2)
    channels_last = batch.to(memory_format=torch.channels_last)
    assert torch.equal(RandomCrop(2)(batch, draws), RandomCrop(2)(channels_last, draws))


def test_a_flip_mirrors_those_whose_number_is_below_p():
    batch, draws = images(), torch.tensor([0.0, 0.2, 0.3, 0.6, 0.29, 0.99]).unsqueeze(1)
    found = RandomHorizontalFlip(0.3)(batch, draws)
    for i, flipped in enumerate([True, True, False, False, True, False]):
        assert torch.equal(found[i], torch.from_numpy(batch[i].numpy()[:, :, ::-1].copy()) if flipped else batch[i])
    assert torch.equal(RandomHorizontalFlip(0)(batch, draws), batch)
    assert torch.equal(RandomHorizontalFlip(1)(batch, draws), batch.flip(-1))


def test_images_of_one_batch_are_augmented_differently():
    """torchvision's transforms draw once for a whole batch."""
    batch = images(1, 3, 32, 32).expand(64, -1, -1, -1)
    augment = Augmentation([CROP, FLIP])
    found = augment(batch, torch.rand(64, augment.n_draws, generator=torch.Generator().manual_seed(0)))
    assert augment.n_draws == 3 and len(found.unique(dim=0)) > 45  # of 162 ways


def test_each_step_has_draws_of_its_own():
    batch, draws = images(), torch.rand(6, 3)
    expected = RandomHorizontalFlip()(RandomCrop(4)(batch, draws[:, :2]), draws[:, 2:])
    assert torch.equal(Augmentation([CROP, FLIP])(batch, draws), expected)


@pytest.mark.parametrize(("mean", "std"), [(0.1307, 0.3081), ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])])
def test_normalize_is_torchvisions(mean, std):
    from torchvision.transforms import v2

    plain = v2.Compose(
        [
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(*([v] if isinstance(v, float) else v for v in (mean, std))),
        ]
    )
    batch = images()
    before = batch.clone()
    found = Normalize(mean, std)(batch)
    torch.testing.assert_close(found, plain(batch))
    assert found.dtype == torch.float32 and torch.equal(batch, before)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"type": "RandomCrob"}, "augment.0.type: 'RandomCrob' is unknown, did you mean 'RandomCrop'"),
        ({"type": "Normalize", "args": {"mean": 0, "std": 1}}, "'Normalize' is unknown"),
        ({"type": "RandomCrop"}, "augment.0.args: RandomCrop: .*missing"),
        ({"type": "RandomCrop", "args": {"padding": 0}}, "padding is 0"),
        ({"type": "RandomCrop", "args": {"padding": "4"}}, "padding is 4; it must be a whole number"),
        ({"type": "RandomHorizontalFlip", "args": {"p": 1.5}}, "p is 1.5"),
        ({"type": "RandomHorizontalFlip", "arg": {}}, "is not"),
    ],
)
def test_a_wrong_entry_is_named(entry, message):
    with pytest.raises(ValueError, match=message):
        Augmentation([entry])
