"""What a project subclasses."""

from base.base_data_loader import BaseDataLoader
from base.base_dataset import BaseDataset, InMemoryDataset
from base.base_model import BaseModel
from base.base_trainer import BaseTrainer

__all__ = ["BaseDataLoader", "BaseDataset", "BaseModel", "BaseTrainer", "InMemoryDataset"]
