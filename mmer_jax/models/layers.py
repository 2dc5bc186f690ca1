"""A network's layers as a table, read from the network itself.

The network is traced by shape alone: nothing is computed, and no memory is taken for parameters.
"""

import dataclasses
import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import ml_collections

from mmer_jax.models import registry

CONVOLUTIONS = ("Convolution", "Conv")
DENSE = ("Dense",)


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
      name: its path in the network, such as "face/conv1": where its parameters are.
      kind: its class, and for dropout the rate; "Convolution, 2x2 max pooling" where it is pooled.
      input_shape: of one example; () where the input is not one array.
      output_shape: of one example. Where the next layer's input is smaller, a maximum over 2x2
        windows lies between (and a ReLU, which moves no shape).
      parameters: how many it has itself, without those of layers inside it.
    """

    name: str
    kind: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int


def layer_table(config: ml_collections.ConfigDict) -> list[Layer]:
    """Returns the layers of the network that a config (of one row) builds.

    They are in the order in which their computations end: a module follows the modules inside it.
    Parameters are counted where they are defined, so that they add up to those of the whole
    network. Left out are modules that have modules inside but no parameters of their own, and
    dropout at rate 0, which does nothing.

    Raises:
      UserError: An unknown model or modality, or fields that the model does not allow.
    """
    model = registry.build(config)
    called: dict[tuple[str, ...], tuple[str, tuple[int, ...], tuple[int, ...]]] = {}

    def note(call, inputs, options, context):
        outputs = call(*inputs, **options)
        is_inactive = isinstance(context.module, nn.Dropout) and not context.module.rate
        if context.method_name == "__call__" and not is_inactive:
            seen = (_kind(context.module), _shape(inputs[0]), _shape(outputs))
            called.setdefault(context.module.path, seen)
        return outputs

    def init(images):
        with nn.intercept_methods(note):
            return model.init(jax.random.key(0), images, train=False)["params"]

    params = jax.eval_shape(init, registry.input_shapes(config))
    outer = {path[:depth] for path in called for depth in range(len(path))}
    return [
        Layer("/".join(path) or "network", *seen, own)
        for path, seen in called.items()
        if (own := _own_parameters(params, path)) or path not in outer
    ]


def count(layers: Sequence[Layer], kinds: Sequence[str]) -> int:
    """How many layers are of one of the kinds: CONVOLUTIONS or DENSE."""
    return sum(layer.kind.partition(",")[0] in kinds for layer in layers)


def _kind(module: nn.Module) -> str:
    name = type(module).__name__
    if isinstance(module, nn.Dropout):
        return f"{name} {module.rate:g}"
    return f"{name}, 2x2 max pooling" if getattr(module, "pooled", False) else name


def _shape(value) -> tuple[int, ...]:
    return tuple(value.shape[1:]) if isinstance(value, jax.Array) else ()


def _own_parameters(params, path: Sequence[str]) -> int:
    for name in path:
        params = params.get(name, {})  # dropout has none
    return sum(math.prod(leaf.shape) for leaf in params.values() if hasattr(leaf, "shape"))
