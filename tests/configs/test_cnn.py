"""The convolutional examples, for a few epochs."""


def test_mnist_cnn_learns(train, evaluate, fake_mnist):
    data = f"data_loader.args.data_dir={fake_mnist}"
    run_dir = train("configs/mnist_cnn.json", data, "trainer.epochs=2", "trainer.tensorboard=false")
    results = evaluate(run_dir)
    assert results["n_samples"] == 300
    assert results["accuracy"] > 0.9


def test_digits_cnn_reaches_98_percent_of_the_test_images(train, evaluate):
    results = evaluate(train("configs/digits_cnn.json", "trainer.tensorboard=false"))
    assert results["n_samples"] == 360
    assert results["accuracy"] >= 0.98
