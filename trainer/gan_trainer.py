"""Two networks that train each other: the example of several models by name, and of a `train_step` of one's own."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from trainer.trainer import Trainer


class GanTrainer(Trainer):
    """Trains a generator to make images that a discriminator takes for images of the data.

    Each step trains the discriminator to tell the two apart, then the generator to be taken for the data. `loss` in the
    log is the generator's, `discriminator_loss` stands beside it; metrics see the discriminator's scores. Both losses
    hover when training goes well, so an evaluation gives another number: `energy_distance`, see there. The writers get
    a row of generated images after each epoch.

    model, optimizer: those of the "generator" and of the "discriminator", by these names.
    criterion: function (scores, classes) -> 0-d tensor, such as cross entropy.
    options: those of Trainer but accumulate, amp, clip_grad_norm and on_nan, which this train_step does not have.

    Raises ValueError for other models. Source: Goodfellow et al. 2014, Generative Adversarial Networks.
    """

    model: nn.ModuleDict

    def __init__(self, model: nn.ModuleDict, *args: Any, **options: Any):
        if not isinstance(model, nn.ModuleDict) or {*model} != {"generator", "discriminator"}:
            raise ValueError("GanTrainer trains two models: let `arch` name a generator and a discriminator")
        super().__init__(model, *args, accumulate=1, amp=None, clip_grad_norm=None, on_nan="stop", **options)

    def train_step(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Update both networks once. Returns the generator's loss, and the discriminator's scores and the classes."""
        generator: Any = self.model["generator"]
        discriminator = self.model["discriminator"]
        real, _ = batch
        fake = generator(torch.randn(len(real), generator.n_noise, device=self.device))
        is_real = torch.arange(len(real) + len(fake), device=self.device).lt(len(real)).long()

        self.optimizer["discriminator"].zero_grad()
        scores = discriminator(torch.cat([real, fake.detach()]))
        discriminator_loss = self.criterion(scores, is_real)
        discriminator_loss.backward()
        self.optimizer["discriminator"].step()

        self.optimizer["generator"].zero_grad()
        loss = self.criterion(discriminator(fake), torch.ones_like(is_real[: len(fake)]))
        loss.backward()
        self.optimizer["generator"].step()

        self.log("discriminator_loss", discriminator_loss)
        return loss, scores, is_real

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        log = super()._train_epoch(epoch)
        self.writer.add_image("generated", torch.cat(list(self.generate(10)), dim=-1))  # side by side
        return log

    @torch.no_grad()
    def generate(self, n_images: int) -> Tensor:
        """Images, (n_images, *image_shape), that the evaluated generator makes of always the same noise."""
        generator: Any = self.evaluated_model.get_submodule("generator")
        was_training = generator.training
        noise = torch.randn(n_images, generator.n_noise, generator=torch.Generator().manual_seed(0))
        images = generator.eval()(noise.to(self.device))
        generator.train(was_training)
        return images

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Any]) -> dict[str, float]:
        """The energy distance between the images of some batches and as many generated ones."""
        real = torch.cat([images for images, _ in batches]).to(self.device)
        return {"energy_distance": energy_distance(real.flatten(1), self.generate(len(real)).flatten(1)).item()}


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """How far apart the distributions are that two samples come from: 0-d, near 0 for the same distribution.

    x, y: (samples, values). 2 E|x - y| - E|x - x'| - E|y - y'|, over pairs of different samples; so it is 0 on average
    for the same distribution, and may be a little below. Source: Szekely and Rizzo 2013, Energy statistics.
    """
    n, m = len(x), len(y)
    within = torch.cdist(x, x).sum() / (n * (n - 1)) + torch.cdist(y, y).sum() / (m * (m - 1))
    return 2 * torch.cdist(x, y).mean() - within
