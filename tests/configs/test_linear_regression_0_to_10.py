import pytest


def test_the_weight_is_found_soon_and_the_bias_late(train, read_metrics, evaluate):
    run_dir = train("configs/linear_regression_0_to_10.json", "trainer.tensorboard=false")
    log = read_metrics(run_dir)
    assert log[-1]["weight"] == pytest.approx(2, abs=0.1)
    assert log[99]["bias"] < log[299]["bias"] < log[499]["bias"] < 3 and log[499]["bias"] > 2.5
    assert 0.95 < evaluate(run_dir)["r2_score"] < 0.99
