"""The same network and training step in PyTorch, in its fastest form."""

import ml_collections
import numpy as np
import torch
from torch import nn

from benchmarks.peers.workload import BATCHES, Workload
from mmer_jax import models

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Network(nn.Module):
    """The network of figure 6 or 8; images are uint8 in channels-last memory.

    Args:
      config: Config of one row.
      params: Initial parameters, those of this project's network.
    """

    def __init__(self, config: ml_collections.ConfigDict, params):
        super().__init__()
        model = models.build(config)
        self.names = tuple(config.modalities)
        self.towers = nn.ModuleList(self._tower(model, params[name]) for name in self.names)
        layers = []
        for i in range(len(model.hidden)):
            layers += [self._dense(params[f"dense{i + 1}"]), nn.ReLU(inplace=True)]
        layers += [nn.Dropout(model.dropout_output), self._dense(params["output"])]
        self.top = nn.Sequential(*layers)

    @staticmethod
    def _tower(model, params):
        layers = []
        for i in range(len(model.filters)):
            kernel = np.asarray(params[f"conv{i + 1}"]["kernel"])  # [3, 3, c, d]
            layer = nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1)
            layer.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1))
            layer.bias.data = torch.tensor(np.asarray(params[f"conv{i + 1}"]["bias"]))
            layers += [layer, nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        return nn.Sequential(*layers, nn.Dropout(model.dropout_features))

    @staticmethod
    def _dense(params):
        layer = nn.Linear(*params["kernel"].shape)
        layer.weight.data = torch.tensor(np.asarray(params["kernel"]).T.copy())
        layer.bias.data = torch.tensor(np.asarray(params["bias"]))
        return layer

    def forward(self, images):
        features = [
            # Flattened in NHWC order as in this project, which is no copy in channels-last memory.
            tower(images[name].float().div_(255)).permute(0, 2, 3, 1).flatten(1)
            for name, tower in zip(self.names, self.towers, strict=True)
        ]
        return self.top(torch.cat(features, 1))


class Training:
    """Channels-last memory, fused Adam, data on the device; on a GPU `torch.compile` and TF32."""

    def __init__(self, workload: Workload):
        self._workload, self._steps = workload, 0
        network = Network(workload.config, workload.params()).to(DEVICE)
        self._network = network.to(memory_format=torch.channels_last).train()
        if DEVICE == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
            torch.backends.cudnn.benchmark = True
            self._network = torch.compile(self._network, mode="max-autotune")
        rate = workload.config.optimizer.learning_rate
        self._adam = torch.optim.Adam(network.parameters(), lr=rate, eps=1e-7, fused=True)
        self._images = {
            name: torch.tensor(x.transpose(0, 3, 1, 2))
            .to(DEVICE)
            .contiguous(memory_format=torch.channels_last)
            for name, x in workload.images().items()
        }
        self._labels = torch.tensor(workload.labels(), dtype=torch.long, device=DEVICE)
        self._order = torch.arange(len(self._labels), device=DEVICE)

    def losses(self, count: int) -> list[float]:
        """Makes `count` steps; returns the mean loss of each."""
        return [float(self._step()) for _ in range(count)]

    def run(self, count: int) -> None:
        """Makes `count` steps and waits for them."""
        for _ in range(count):
            loss = self._step()
        float(loss)

    def _step(self) -> torch.Tensor:
        b = self._workload.batch
        first = self._steps % BATCHES * b
        indices = self._order[first : first + b]
        self._steps += 1
        is_bfloat16 = self._workload.dtype == "bfloat16"
        with torch.autocast(DEVICE, torch.bfloat16, enabled=is_bfloat16):
            logits = self._network({name: x[indices] for name, x in self._images.items()})
        loss = nn.functional.cross_entropy(logits.float(), self._labels[indices])
        self._adam.zero_grad(set_to_none=True)
        loss.backward()
        self._adam.step()
        return loss.detach()
