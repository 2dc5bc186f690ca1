"""The registry of models, and the model that a config names.

A model is a Flax module whose first two fields are `modalities` (names of its inputs) and `classes`
(the number of emotions); its other fields, all with defaults, can be set as `config.model.FIELD`:

    @registry.register("my_fusion")
    class MyFusion(nn.Module):
        modalities: Sequence[str]
        classes: int
        width: int = 64

        @nn.compact
        def __call__(self, inputs, *, train): ...

`inputs` maps each modality to uint8 (or normalized float32) [b, s, s, c]; the result is logits,
float32 [b, classes]. With `train` a random stream named "dropout" is there; the first axis of what
is drawn from it must be the batch, or results depend on the number of devices. A model may have a
method `validate(size)` that raises a UserError for field values that do not fit together.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections

from mmer_jax import errors, modalities

# Name in configs -> class.
MODELS: dict[str, type[nn.Module]] = {}

Model = TypeVar("Model", bound=type[nn.Module])


def register(name: str) -> Callable[[Model], Model]:
    """Returns a class decorator that registers a model.

    Args:
      name: The name of the model in configs.

    Raises:
      ValueError: Another model has the name.
    """

    def decorate(model: Model) -> Model:
        known = MODELS.get(name)
        if known is not None and known.__qualname__ != model.__qualname__:
            raise ValueError(f"the model name {name!r} is taken by {known.__qualname__}")
        MODELS[name] = model
        return model

    return decorate


def build(config: ml_collections.ConfigDict) -> nn.Module:
    """Returns the model that a config (of one row) names.

    The fields of `config.model` that are not None are passed to it.

    Raises:
      UserError: An unknown model or modality, a field that the model does not have, or values that
        do not fit together.
    """
    name = config.model.name
    if name not in MODELS:
        raise errors.unknown("model", name, MODELS)
    model_class = MODELS[name]
    given: dict[str, Any] = {
        field: _as_tuple(value)
        for field, value in config.model.items()
        if field != "name" and value is not None
    }
    known = [f.name for f in dataclasses.fields(model_class)]
    known = [f for f in known if f not in ("modalities", "classes", "parent", "name")]
    for field, value in given.items():
        if field not in known:
            raise errors.UserError(
                f"config.model.{field} is not a field of the model {name}, which has "
                f"{', '.join(known) or 'none'}"
            )
        if field.startswith("dropout") and not 0 <= value < 1:
            raise errors.UserError(
                f"config.model.{field} is {value}; it must be at least 0 and below 1"
            )
    names = tuple(m.name for m in modalities.get(config.modalities))
    model = model_class(modalities=names, classes=len(config.data.emotions), **given)
    if validate := getattr(model, "validate", None):
        validate(config.data.size)
    return model


def _as_tuple(value: object) -> object:
    """Returns lists as tuples, so that modules can be hashed."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list | tuple) else value


def describe(model: nn.Module) -> dict[str, object]:
    """Returns the fields of a model with their values, for records."""
    fields = [f.name for f in dataclasses.fields(model) if f.name not in ("parent", "name")]
    return {field: getattr(model, field) for field in fields}


def input_shapes(
    config: ml_collections.ConfigDict, batch: int = 1
) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes of a batch of inputs: modality -> uint8 [batch, size, size, channels]."""
    size = config.data.size
    return {
        m.name: jax.ShapeDtypeStruct((batch, size, size, m.channels), jnp.uint8)
        for m in modalities.get(config.modalities)
    }


def count_parameters(params) -> int:
    """Returns the number of parameters in a tree of arrays or shapes."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def parameter_shapes(config: ml_collections.ConfigDict):
    """Returns the tree of shapes of a config's parameters, without allocating them."""
    model = build(config)
    variables = jax.eval_shape(
        lambda inputs: model.init(jax.random.key(0), inputs, train=False), input_shapes(config)
    )
    return variables["params"]
