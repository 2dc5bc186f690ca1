"""The state of a run and the jitted training step."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jax.sharding import Mesh

from mmer_jax import errors
from mmer_jax.models import tower
from mmer_jax.training import normalization, rng, sharding
from mmer_jax.training.augmentation import NO_AUGMENTATION, Augmentation

DTYPES = ("float32", "bfloat16")

# Compiled programs that a process keeps: cells that differ in seed or fold share one.
_CACHE_SIZE = 32

# Sums over the steps of an epoch, float32: of the losses, correct predictions and number of the
# examples, and of the steps' gradient norms.
SUMS = ("loss", "correct", "examples", "grad_norm")


@flax.struct.dataclass
class TrainState:
    """Everything that a checkpoint must hold for an exact continuation.

    Attributes:
      step: int32, number of updates made.
      params: Parameters of the model.
      opt_state: State of the optimizer.
      ema_params: EMA of the parameters, or an empty dict.
      best_params: Parameters of the best epoch so far under early stopping, or an empty dict.
      sums: Sums over the epoch so far, see SUMS.
    """

    step: jax.Array
    params: Any
    opt_state: Any
    ema_params: Any
    best_params: Any
    sums: dict[str, jax.Array]

    @property
    def latest_params(self) -> Any:
        """The parameters after the last step: their EMA, if there is one."""
        return self.ema_params or self.params

    @property
    def eval_params(self) -> Any:
        """The parameters that are evaluated and kept: the best epoch's, or the latest."""
        return self.best_params or self.latest_params

    def reset_sums(self) -> "TrainState":
        """Returns the state with sums of zero, for the next epoch."""
        return dataclasses.replace(self, sums=jax.tree.map(lambda x: 0 * x, self.sums))

    def keep_best(self) -> "TrainState":
        """Returns the state with a copy of the latest parameters as the best ones.

        A copy is needed because the next step reuses the memory of the latest parameters.
        """
        return dataclasses.replace(self, best_params=jax.tree.map(jnp.copy, self.latest_params))


@dataclasses.dataclass(frozen=True)
class Objective:
    """The objective that a step minimizes.

    Attributes:
      augmentation: Random changes of the batch.
      label_smoothing: Weight that is spread over all classes in every target; Szegedy et al.
        (2016), arXiv:1512.00567.
      ema_decay: Decay of the EMA of the parameters; 0 for none.
      dtype: Of the network's arithmetic in training, one of DTYPES. Parameters, optimizer, loss and
        evaluation stay in float32.
    """

    augmentation: Augmentation = NO_AUGMENTATION
    label_smoothing: float = 0.0
    ema_decay: float = 0.0
    dtype: str = "float32"

    @classmethod
    def from_config(cls, config: ml_collections.ConfigDict) -> "Objective":
        """Returns the objective of a config (of one row); raises UserError for bad values."""
        smoothing, decay = config.loss.label_smoothing, config.optimizer.ema_decay
        for field, value in (("loss.label_smoothing", smoothing), ("optimizer.ema_decay", decay)):
            if not 0 <= value < 1:
                raise errors.UserError(
                    f"config.{field} is {value}; it must be at least 0 and below 1"
                )
        if config.compute_dtype not in DTYPES:
            raise errors.unknown("compute_dtype", config.compute_dtype, DTYPES)
        return cls(Augmentation.from_config(config), smoothing, decay, config.compute_dtype)

    @property
    def has_hard_targets(self) -> bool:
        """Whether each example has exactly one class."""
        return not (self.augmentation.is_active or self.label_smoothing)


def init_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    inputs: Mapping[str, jax.ShapeDtypeStruct],
    seed: int | jax.Array,
    *,
    ema: bool = False,
    keep_best: bool = False,
) -> TrainState:
    """Returns the state before the first step.

    Args:
      model: The network.
      optimizer: The optimizer.
      inputs: Shapes and dtypes of a batch of inputs.
      seed: Seed of the run.
      ema: Whether an EMA of the parameters is kept.
      keep_best: Whether the best epoch's parameters are kept.
    """
    zeros = {name: jnp.zeros(x.shape, x.dtype) for name, x in inputs.items()}
    params = model.init(rng.key(seed, "init"), zeros, train=False)["params"]
    state = TrainState(
        step=jnp.int32(0),
        params=params,
        opt_state=optimizer.init(params),
        ema_params=jax.tree.map(jnp.copy, params) if ema else {},
        best_params={},
        sums={name: jnp.float32(0) for name in SUMS},
    )
    return state.keep_best() if keep_best else state


def train_step(
    state: TrainState,
    batch: Mapping[str, Any],
    norm_stats: Mapping[str, normalization.NormStats],
    seed: jax.Array,
    *,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    objective: Objective = Objective(),
) -> tuple[TrainState, jax.Array]:
    """Makes one update: the mean cross-entropy of the examples of the batch goes down.

    Args:
      state: The state before.
      batch: A batch of the input pipeline.
      norm_stats: Normalization statistics by modality.
      seed: uint32, seed of the run.
      model: The network.
      optimizer: The optimizer.
      objective: The loss and what belongs to it.

    Returns:
      The state after, and the sum of the losses of the batch, float32.
    """
    augment_key = rng.key(seed, "augment", state.step)
    inputs = objective.augmentation.distort(augment_key, batch["inputs"])
    inputs = normalization.normalize_inputs({**batch, "inputs": inputs}, norm_stats)
    label, mask = batch["label"], batch["mask"]
    targets = label
    if not objective.has_hard_targets:
        one_hot = jax.nn.one_hot(label, model.classes)
        targets = optax.smooth_labels(one_hot, objective.label_smoothing)
        inputs, targets = objective.augmentation(augment_key, inputs, targets, mask)
    if objective.dtype != "float32":
        inputs = _cast(
            {name: tower.to_unit_range(x) for name, x in inputs.items()}, objective.dtype
        )
    dropout_key = rng.key(seed, "dropout", state.step)

    def loss(params):
        params = _cast(params, objective.dtype)  # gradients come back as float32
        rngs = {"dropout": dropout_key}
        output: Any = model.apply({"params": params}, inputs, train=True, rngs=rngs)
        logits = output.astype(jnp.float32)
        losses = _cross_entropy(logits, targets) * mask
        return losses.sum() / mask.sum(), (losses.sum(), logits)

    grads, (loss_sum, logits) = jax.grad(loss, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    step_sums = {
        "loss": loss_sum,
        "correct": ((logits.argmax(-1) == label) * mask).sum(),
        "examples": mask.sum(),
        "grad_norm": optax.tree.norm(grads),
    }
    state = dataclasses.replace(
        state,
        step=state.step + 1,
        params=params,
        opt_state=opt_state,
        ema_params=_update_ema(state.ema_params, params, state.step, objective.ema_decay),
        sums=jax.tree.map(jnp.add, state.sums, step_sums),
    )
    return state, loss_sum


def _cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Returns the loss of each example; targets are classes, int [b], or weights [b, classes]."""
    if targets.ndim == 1:
        return optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    return optax.softmax_cross_entropy(logits, targets)


def _cast(tree: Any, dtype: str) -> Any:
    return jax.tree.map(lambda x: x.astype(dtype), tree)


def _update_ema(ema_params, params, step: jax.Array, decay: float):
    """Returns the EMA of the parameters after a step; Polyak and Juditsky (1992).

    The decay grows to its final value, so that the first parameters soon have no weight.
    """
    if not ema_params:
        return ema_params
    d = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda e, p: d * e + (1 - d) * p, ema_params, params)


@functools.lru_cache(_CACHE_SIZE)
def compile_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    objective: Objective,
    mesh: Mesh,
) -> Callable[..., tuple[TrainState, jax.Array]]:
    """Returns the jitted `train_step` of (state, batch, norm_stats, seed); it donates the state.

    The seed is an argument, so that runs with other seeds are the same program.
    """
    return jax.jit(
        functools.partial(train_step, model=model, optimizer=optimizer, objective=objective),
        donate_argnums=0,
        out_shardings=sharding.replicated(mesh),
        compiler_options=sharding.compiler_options(mesh),
    )


@functools.lru_cache(_CACHE_SIZE)
def compile_init(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    inputs: tuple[tuple[str, jax.ShapeDtypeStruct], ...],
    mesh: Mesh,
    *,
    ema: bool,
    keep_best: bool,
) -> Callable[[np.uint32], TrainState]:
    """Returns the jitted `init_state` of a seed."""

    def init(seed):
        return init_state(model, optimizer, dict(inputs), seed, ema=ema, keep_best=keep_best)

    return jax.jit(init, out_shardings=sharding.replicated(mesh))
