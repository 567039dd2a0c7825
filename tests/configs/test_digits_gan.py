def test_the_images_come_closer_to_the_data(train, evaluate, read_metrics):
    run_dir = train("configs/digits_gan.json", "trainer.epochs=40", "trainer.tensorboard=false")
    distances = [record["val_energy_distance"] for record in read_metrics(run_dir)]
    assert distances[0] > 0.4  # those of an untrained generator
    assert min(distances) < 0.1
    results = evaluate(run_dir)
    assert results["n_samples"] == 360
    assert results["energy_distance"] < 0.1
