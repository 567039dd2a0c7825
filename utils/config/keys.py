"""What a config may hold: every key, what it accepts, and its default. The trainer's own options stand in its code."""

from typing import Any

from utils.config.catalog import REQUIRED, Parameter, definitions

ENTRY = """Annotated[dict, '{"type": ..., "args": {...}}']"""
COUNT = "Annotated[int, '>= 1']"
FOLDER = """Annotated[str, "a folder's name: no slash, no leading dot, at most 100 characters",
                      r"like [^./\\\\][^/\\\\]{0,99}"]"""
FOLD = """Annotated[str, 'a fold such as "2/5"', 'like [0-9]{1,9}/[0-9]{1,9}']"""
PATH = "Annotated[str, 'the path of a folder, such as ~/saved or saved/', 'like ~(/.*)?|[^~].*']"  # ~user may be nobody
METRICS = "Annotated[list[str | dict], 'a list of names']"
WEIGHTS = "Literal['balanced'] | Annotated[list[float], 'a list of numbers'] | float | None"

OBJECTS = {
    "arch": Parameter(ENTRY, REQUIRED, "model", "BaseModel"),
    "data_loader": Parameter(ENTRY, REQUIRED, "data_loader", "BaseDataLoader"),
    "valid_data_loader": Parameter(f"{ENTRY} | None", None, "data_loader", "BaseDataLoader"),
    "test_data_loader": Parameter(f"{ENTRY} | None", None, "data_loader", "BaseDataLoader"),
    "optimizer": Parameter(ENTRY, REQUIRED, "torch.optim", "Optimizer", 1),
    "loss": Parameter(f"Annotated[str, 'a name'] | {ENTRY}", REQUIRED, "torch.nn.modules.loss model.loss", "loss", 2),
    "metrics": Parameter(
        "Annotated[list[str | dict], 'a list of names']", [], "model.sklearn_metric model.metric", "metric", 2
    ),
    "lr_scheduler": Parameter(f"{ENTRY} | None", None, "torch.optim.lr_scheduler", "LRScheduler", 1),
    "trainer": Parameter("dict", {}, "trainer", "BaseTrainer"),
}
TOP: dict[str, Parameter] = {
    "name": Parameter(FOLDER),
    "n_gpu": Parameter("Annotated[int, '>= 0']", 1),
    "threads": Parameter(f"{COUNT} | None", None),
    "seed": Parameter(f"Annotated[int, '>= 0', '<= {2**32 - 1}']", 123),
    **OBJECTS,
}
ENTRY_KEYS = {"type": Parameter("Annotated[str, 'a name']"), "args": Parameter("dict", {})}
LAYER_KEYS = {"groups": Parameter("dict", {}), "freeze": Parameter("list[str]", [])}  # of an optimizer
# Of the section `trainer`, what train.py reads itself; the other keys are options of the trainer.
RUN_KEYS = {
    "type": Parameter("Any", "Trainer"),  # these two are checked like those of any entry
    "args": Parameter("Any", {}),
    "save_dir": Parameter(PATH, "saved/"),
    "verbosity": Parameter("Literal[0, 1, 2]", 1),
    "parallel": Parameter("Literal['ddp', 'fsdp']", "ddp"),
}
GIVEN_TO_TRAINER = ("model", "criterion", "metrics", "optimizer", "data_loader", "valid_data_loader", "lr_scheduler",
                    "config")  # by train.py; no options  # fmt: skip
# What a signature, such as one of torch's, does not say.
RANGES = {
    "data_loader.args.batch_size": COUNT,
    "data_loader.args.validation_split": f"Annotated[int, '>= 0'] | Annotated[float, '>= 0', '< 1'] | {FOLD}",
    "data_loader.args.split_seed": f"Annotated[int, '>= 0', '<= {2**32 - 1}']",
    "loss.args.weight": WEIGHTS,
    "loss.args.pos_weight": WEIGHTS,
    "optimizer.args.lr": "Annotated[float, '>= 0']",
    "trainer.monitor": r"Annotated[str, 'off, min NAME or max NAME', r'like off|(min|max) \S+']",
    # torch divides by these, the first time after an epoch
    **{f"lr_scheduler.args.{name}": COUNT for name in ("step_size", "T_max", "T_0", "total_iters")},
}
# They need what JSON cannot say: a closure, sparse gradients, functions, other schedulers; or are losses of more than
# an output and a target.
NOT_FROM_JSON = ("LBFGS", "SparseAdam", "LambdaLR", "MultiplicativeLR", "SequentialLR", "ChainedScheduler", "CTCLoss",
                 "CosineEmbeddingLoss", "GaussianNLLLoss", "MarginRankingLoss", "NLLLoss2d", "TripletMarginLoss",
                 "TripletMarginWithDistanceLoss")  # fmt: skip


def named(entry: Any) -> dict[str, Any]:
    """By name, the entries of one that holds several, {"generator": {"type": ...}, ...}; else {"": entry}."""
    parts = entry if isinstance(entry, dict) and not {"type", "args"} & entry.keys() else {}
    return parts if any(isinstance(part, dict) and "type" in part for part in parts.values()) else {"": entry}


def trainer_keys(trainer: str = "Trainer") -> dict[str, Parameter]:
    """The keys of the section `trainer`: RUN_KEYS, and those options of Trainer that this type takes too."""
    parameters, _ = definitions("trainer")["Trainer"].parameters
    taken, is_open = definitions("trainer")[trainer].parameters
    options = {name: parameters[name] for name in parameters if is_open or name in taken}
    options |= {"epochs": Parameter(parameters["epochs"].annotation)}  # its default is for notebooks
    return RUN_KEYS | {name: option for name, option in options.items() if name not in GIVEN_TO_TRAINER}
