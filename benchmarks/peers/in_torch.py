"""The same network and step in PyTorch, as fast as PyTorch does it."""

import numpy as np
import torch
from torch import nn

from benchmarks.peers import work

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Network(nn.Module):
    """Figures 6 and 8 with the given parameters; images are uint8 in channels-last memory."""

    def __init__(self, config, params):
        super().__init__()
        self.names = tuple(config.modalities)
        self.towers = nn.ModuleList(self._tower(config, params[name]) for name in self.names)
        dense = [self._dense(params[f"dense{i + 1}"]) for i in range(len(config.model.hidden))]
        layers = [layer for one in dense for layer in (one, nn.ReLU(inplace=True))]
        layers += [nn.Dropout(config.model.dropout_output), self._dense(params["output"])]
        self.top = nn.Sequential(*layers)

    @staticmethod
    def _tower(config, params):
        layers = []
        for i in range(len(config.model.filters)):
            kernel = np.asarray(params[f"conv{i + 1}"]["kernel"])  # [3, 3, c, d]
            layer = nn.Conv2d(kernel.shape[2], kernel.shape[3], 3, padding=1)
            layer.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1))
            layer.bias.data = torch.tensor(np.asarray(params[f"conv{i + 1}"]["bias"]))
            layers += [layer, nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        return nn.Sequential(*layers, nn.Dropout(config.model.dropout_features))

    @staticmethod
    def _dense(params):
        layer = nn.Linear(*params["kernel"].shape)
        layer.weight.data = torch.tensor(np.asarray(params["kernel"]).T.copy())
        layer.bias.data = torch.tensor(np.asarray(params["bias"]))
        return layer

    def forward(self, images):
        features = [
            # In the order of rows, columns, channels, as ours are: no copy in this memory format.
            tower(images[name].float().div_(255)).permute(0, 2, 3, 1).flatten(1)
            for name, tower in zip(self.names, self.towers, strict=True)
        ]
        return self.top(torch.cat(features, 1))


class Training:
    """Channels-last, fused Adam, data on the device; on a GPU compiled, as fast as it can be."""

    def __init__(self, given: work.Work):
        self._given, self._made = given, 0
        network = Network(given.config, given.params()).to(DEVICE)
        self._network = network.to(memory_format=torch.channels_last).train()
        if DEVICE == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
            torch.backends.cudnn.benchmark = True
            self._network = torch.compile(self._network, mode="max-autotune")
        rate = given.config.optimizer.learning_rate
        self._adam = torch.optim.Adam(network.parameters(), lr=rate, eps=1e-7, fused=True)
        self._images = {
            name: torch.tensor(x.transpose(0, 3, 1, 2))
            .to(DEVICE)
            .contiguous(memory_format=torch.channels_last)
            for name, x in given.images().items()
        }
        self._labels = torch.tensor(given.labels(), dtype=torch.long, device=DEVICE)
        self._order = torch.arange(len(self._labels), device=DEVICE)

    def _step(self):
        b = self._given.batch
        first = self._made % work.BATCHES * b
        index = self._order[first : first + b]
        self._made += 1
        bfloat16 = self._given.dtype == "bfloat16"
        with torch.autocast(DEVICE, torch.bfloat16, enabled=bfloat16):
            logits = self._network({name: x[index] for name, x in self._images.items()})
        loss = nn.functional.cross_entropy(logits.float(), self._labels[index])
        self._adam.zero_grad(set_to_none=True)
        loss.backward()
        self._adam.step()
        return loss.detach()

    def losses(self, count: int) -> list[float]:
        """The loss of each of `count` further steps."""
        return [float(self._step()) for _ in range(count)]

    def run(self, count: int) -> None:
        """Makes `count` further steps and waits for them."""
        for _ in range(count):
            loss = self._step()
        float(loss)
