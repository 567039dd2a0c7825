"""The convolutional examples, for a few epochs."""


def test_mnist_cnn_learns(train, evaluate, fake_mnist):
    data = f"data_loader.args.data_dir={fake_mnist}"
    run_dir = train("configs/mnist_cnn.json", data, "trainer.epochs=2", "trainer.tensorboard=false")
    results = evaluate(run_dir)
    assert results["n_samples"] == 300
    assert results["accuracy"] > 0.9


def test_digits_cnn_reaches_98_percent_of_the_test_images(train, evaluate):
    """In 12 of its 30 epochs: 0.986 to 0.994 with six seeds."""
    short = ("trainer.epochs=12", "lr_scheduler.args.T_max=12")
    results = evaluate(train("configs/digits_cnn.json", *short, "trainer.tensorboard=false"))
    assert results["n_samples"] == 360
    assert results["accuracy"] >= 0.98
