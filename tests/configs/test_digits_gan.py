def test_the_images_come_ten_times_closer_to_the_data(train, evaluate, read_metrics):
    run_dir = train("configs/digits_gan.json", "trainer.epochs=20", "trainer.tensorboard=false")
    first, *later = [record["val_energy_distance"] for record in read_metrics(run_dir)]
    assert first > 3  # that of an untrained generator is 3.6
    assert min(later) < first / 10
    results = evaluate(run_dir)
    assert results["n_samples"] == 360
    assert results["energy_distance"] < first / 10
