def test_it_learns_real_mnist(train, evaluate, shared_data):
    settings = (f"data_loader.args.data_dir={shared_data}", "data_loader.args.n_samples=5000", "trainer.epochs=1")
    results = evaluate(train("configs/mnist_lenet.json", *settings, "trainer.tensorboard=false"))
    assert results["n_samples"] == 10_000
    assert results["accuracy"] > 0.7
