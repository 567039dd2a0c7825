"""What config.json describes, as one writes it without the template: python benchmarks/digits_by_hand.py EPOCHS"""

import sys
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(123)
epochs = int(sys.argv[1])

images, labels = load_digits(return_X_y=True)
images, _, labels, _ = train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)
parts = train_test_split(images, labels, test_size=0.1, random_state=0, stratify=labels)
data, valid_data = (torch.from_numpy(part).float() / 16 for part in parts[:2])
target, valid_target = (torch.from_numpy(part).long() for part in parts[2:])

model = nn.Sequential(
    nn.Linear(64, 512), nn.ReLU(), nn.Dropout(0.4), nn.Linear(512, 256), nn.ReLU(), nn.Dropout(0.4), nn.Linear(256, 10)
)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.002, weight_decay=0.01)
lr_scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=60)
best = float("inf")

with tempfile.TemporaryDirectory() as folder:
    for epoch in range(1, epochs + 1):
        model.train()
        for batch in torch.randperm(len(data)).split(32):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(data[batch]), target[batch], label_smoothing=0.1)
            loss.backward()
            optimizer.step()
        lr_scheduler.step()

        model.eval()
        with torch.no_grad():
            output = model(valid_data)
            val_loss = F.cross_entropy(output, valid_target, label_smoothing=0.1).item()
            accuracy = (output.argmax(dim=1) == valid_target).float().mean().item()
        print(f"epoch {epoch}  loss {loss.item():.4f}  val_loss {val_loss:.4f}  val_accuracy {accuracy:.4f}")
        if val_loss < best:
            best = val_loss
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, Path(folder) / "best.pth")
