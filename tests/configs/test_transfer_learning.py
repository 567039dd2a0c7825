import json
from pathlib import Path

import torch

from utils.checkpoint import load_checkpoint
from utils.config import read_json

STAGE1, STAGE2 = "configs/transfer_learning_stage1.json", "configs/transfer_learning.json"


def test_200_images_are_enough_with_the_features_of_stage_1_but_not_from_scratch(train, evaluate, shared_data):
    settings = (f"data_loader.args.data_dir={shared_data}", "trainer.tensorboard=false", "arch.args.channels=[16,32]")
    short = ("trainer.epochs=2", "lr_scheduler.args.T_max=2")  # 6 in the config, of a model twice as wide
    stage1 = train(STAGE1, *settings, *short, run_id="stage1")
    checkpoint = stage1 / "model_best.pth"

    settings += ("trainer.epochs=10", "lr_scheduler.args.T_max=10")  # 30 in the config
    transfer = train(STAGE2, *settings, f"arch.args.checkpoint={checkpoint}", run_id="transfer")
    arguments = read_json(Path(STAGE2))["arch"]["args"]
    del arguments["checkpoint"]
    cnn = {"type": "CNN", "args": arguments}
    scratch = train(STAGE2, f"arch={json.dumps(cnn)}", *settings, run_id="scratch")

    assert evaluate(transfer)["accuracy"] > evaluate(scratch)["accuracy"] + 0.005
    frozen = load_checkpoint(checkpoint)["model"]
    for name, value in load_checkpoint(transfer / "checkpoint-last.pth")["model"].items():
        assert name.startswith("classifier.") or torch.equal(value, frozen[name])


def test_both_stages_run_and_the_second_can_be_tested_without_the_first(train, evaluate, refused, fake_mnist):
    common = (f"data_loader.args.data_dir={fake_mnist}", "trainer.tensorboard=false", "trainer.epochs=1")
    stage1 = train(STAGE1, *common, run_id="stage1") / "model_best.pth"
    run_dir = train(STAGE2, *common, f"arch.args.checkpoint={stage1}", run_id="stage2")
    results = evaluate(run_dir)
    assert results["n_samples"] == 150  # every test image of the classes 5 to 9

    stage1.unlink()
    message = refused("test", "-r", run_dir)
    assert "model_best.pth: no such checkpoint" in message and "-s arch.args.checkpoint=null" in message
    assert evaluate(run_dir, "arch.args.checkpoint=null") == results


def test_a_stage_1_of_another_shape_is_refused(train, refused, fake_mnist):
    data = f"data_loader.args.data_dir={fake_mnist}"
    stage1 = train(STAGE1, data, "trainer.epochs=1", "arch.args.channels=[4, 64]", "trainer.tensorboard=false")
    message = refused("train", "-c", STAGE2, "-s", data, f"arch.args.checkpoint={stage1 / 'model_best.pth'}")
    assert "arch: checkpoint:" in message and "0.weight is [4, 1, 3, 3], the model's is [32, 1, 3, 3]" in message
