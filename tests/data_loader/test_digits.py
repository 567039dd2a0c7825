import numpy as np
import torch

from data_loader.digits import DigitsDataLoader


def test_the_splits_are_disjoint_stratified_and_complete():
    loader = DigitsDataLoader(batch_size=64, validation_split=0.1, stratify=True)
    parts = [loader, loader.split_validation(), DigitsDataLoader(batch_size=64, training=False)]
    images = [torch.cat([data for data, _ in part]) for part in parts]
    labels = [torch.cat([target for _, target in part]) for part in parts]

    assert sum(map(len, images)) == 1797
    assert [len(part) for part in images[1:]] == [143, 360]
    everything = torch.cat(images).flatten(1)
    assert len(everything.unique(dim=0)) == 1797  # all images differ, so none is in two parts
    shares = [np.bincount(part, minlength=10) / len(part) for part in labels]
    assert np.abs(shares[0] - shares[1]).max() < 0.01
    assert np.abs(shares[0] - shares[2]).max() < 0.01


def test_a_batch_is_images_in_0_to_1_and_class_numbers():
    data, target = next(iter(DigitsDataLoader(batch_size=7)))
    assert (data.shape, data.dtype) == ((7, 1, 8, 8), torch.float32)
    assert (target.shape, target.dtype) == ((7,), torch.int64)
    assert data.min() == 0 and 0.9 < data.max() <= 1


def test_a_choice_keeps_image_and_label_together_and_all_test_images():
    everything = DigitsDataLoader(2000, shuffle=False).samples
    chosen = DigitsDataLoader(2000, classes=[7, 8], n_samples=50).samples
    assert len(chosen) == 50
    for image, number in zip(chosen.data, chosen.target, strict=True):
        [index] = (everything.data == image).flatten(1).all(dim=1).nonzero()
        assert everything.target[index] == 7 + number
    all_test_labels = DigitsDataLoader(2000, training=False).samples.target
    n_test = DigitsDataLoader(2000, training=False, classes=[7, 8], n_samples=50).n_samples
    assert n_test == ((all_test_labels == 7) | (all_test_labels == 8)).sum() > 50


# For the example: the default one or, in a copy, another one with this loader.
OPTIONS = [
    'data_loader.args.augment=[{"type": "RandomCrop", "args": {"padding": 1}}]',
    "data_loader.args.balanced=true",
    "data_loader.args.len_epoch=7",
    "trainer.tensorboard=false",
]


def test_a_config_can_name_every_option_and_a_run_with_them_goes_on_as_if_it_had_not_stopped(
    train, resume, example, read_metrics
):
    straight = read_metrics(train(example, "trainer.epochs=4", *OPTIONS, run_id="straight"))
    stopped = train(example, "trainer.epochs=2", *OPTIONS)
    resumed = read_metrics(resume(stopped, "trainer.epochs=4"))
    assert [record["step"] for record in resumed] == [7, 14, 21, 28]
    for one, other in zip(straight, resumed, strict=True):
        assert one | {"seconds": 0} == other | {"seconds": 0}


def test_a_wrong_augmentation_is_named(refused, example):
    message = refused("train", "-c", example, "-s", OPTIONS[0].replace("Crop", "Crob"))
    assert "augment.0.type: 'RandomCrob' is unknown, did you mean 'RandomCrop'" in message


def test_training_images_are_augmented_and_test_images_are_not():
    def images(**options):
        [(data, _)] = DigitsDataLoader(2000, shuffle=False, **options)
        return data

    augment = [{"type": "RandomCrop", "args": {"padding": 1}}]
    assert torch.equal(images(training=False), images(training=False, augment=augment))
    changed = (images() != images(augment=augment)).flatten(1).any(dim=1)
    assert 0.8 < changed.float().mean() < 0.95  # one of nine windows is the image itself
