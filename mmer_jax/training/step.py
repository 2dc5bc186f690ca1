"""The state of a run, and the jitted functions that move it: a chunk of steps, and prediction."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from mmer_jax import errors
from mmer_jax.models import tower
from mmer_jax.training import augmentation, normalization, sharding

# Streams of randomness, folded into the run's seed. Their numbers are part of every result.
INIT, DROPOUT, SHUFFLE, AUGMENT = 0, 1, 2, 3

DTYPES = ("float32", "bfloat16")


@flax.struct.dataclass
class TrainState:
    """All that a checkpoint must hold to continue exactly.

    Attributes:
      step: int32, updates made.
      params, opt_state: trees of the model and of optax.
      average: a running average of the parameters, or an empty tree.
      loss_sum, correct, seen: float32, over the examples of the epoch so far.
      diverged_at: int32, the first step whose loss was not finite, or -1.
      best: the best epoch's parameters so far under early stopping, or an empty tree.
    """

    step: jax.Array
    params: Any
    opt_state: Any
    average: Any
    loss_sum: jax.Array
    correct: jax.Array
    seen: jax.Array
    diverged_at: jax.Array
    best: Any = flax.struct.field(default_factory=dict)

    @property
    def latest_params(self) -> Any:
        """The parameters after the last step: their average, where there is one."""
        return self.average or self.params

    @property
    def measured_params(self) -> Any:
        """The parameters that are measured and kept: the latest, or an earlier epoch's."""
        return self.best or self.latest_params


@flax.struct.dataclass
class DeviceData:
    """Examples on the device, whole.

    Attributes:
      arrays: for each modality uint8 [m, s, s, c], the images that any example uses.
      indices: for each modality int32 [n], the image of each example.
      label: int32 [n].
      standard: for each modality what its images are normalized by; empty: as they are.
    """

    arrays: Mapping[str, jax.Array]
    indices: Mapping[str, jax.Array]
    label: jax.Array
    standard: Mapping[str, normalization.Standard] = flax.struct.field(default_factory=dict)

    def take(self, index: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        """Images and labels of the examples with the given numbers."""
        images = {name: self.arrays[name][rows[index]] for name, rows in self.indices.items()}
        for name, standard in self.standard.items():
            images[name] = normalization.normalize(
                images[name], standard, self.indices[name][index]
            )
        return images, self.label[index]


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a step minimizes, beside the model and the optimizer.

    Attributes:
      augment: changes of the batch.
      label_smoothing: share of every target that is spread over all classes; Szegedy et al. (2016),
        arXiv:1512.00567.
      average: decay of the parameters' running average; 0 for none.
      dtype: of the network's arithmetic in training, one of DTYPES. Parameters, the optimizer, the
        loss and everything that is measured stay in float32.
    """

    augment: augmentation.Augment = augmentation.NO_CHANGE
    label_smoothing: float = 0.0
    average: float = 0.0
    dtype: str = "float32"

    @classmethod
    def of(cls, config) -> "Objective":
        """As a config (of one row) has it; UserError for values out of range."""
        smoothing, average = config.loss.label_smoothing, config.optimizer.ema_decay
        for field, value in (("loss.label_smoothing", smoothing), ("optimizer.ema_decay", average)):
            if not 0 <= value < 1:
                raise errors.UserError(
                    f"config.{field} is {value}; it must be at least 0 and below 1"
                )
        if config.model.dtype not in DTYPES:
            raise errors.unknown("dtype", config.model.dtype, DTYPES)
        return cls(augmentation.Augment.of(config), smoothing, average, config.model.dtype)

    @property
    def plain(self) -> bool:
        """Whether images and labels are learned as they are."""
        return not (self.augment.changes_images or self.label_smoothing)


def init_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    batch: Mapping[str, jax.ShapeDtypeStruct],
    seed: int | jax.Array,
    *,
    averaged: bool = False,
) -> TrainState:
    """The state before the first step. Traceable, so that shapes can be had without memory."""
    zeros = {name: jnp.zeros(x.shape, x.dtype) for name, x in batch.items()}
    key = jax.random.fold_in(jax.random.key(seed), INIT)
    params = model.init(key, zeros, train=False)["params"]
    return TrainState(
        step=jnp.int32(0),
        params=params,
        opt_state=optimizer.init(params),
        average=jax.tree.map(jnp.copy, params) if averaged else {},
        loss_sum=jnp.float32(0),
        correct=jnp.float32(0),
        seen=jnp.float32(0),
        diverged_at=jnp.int32(-1),
    )


def note_best(state: TrainState) -> TrainState:
    """Notes the latest parameters as the best; a copy, since steps take the others' memory."""
    return state.replace(best=jax.tree.map(jnp.copy, state.latest_params))


def update(
    state: TrainState,
    images: Mapping[str, jax.Array],
    label: jax.Array,
    weight: jax.Array,
    *,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    seed: int | jax.Array,
    objective: Objective = Objective(),
) -> TrainState:
    """One step: sparse categorical cross-entropy, its mean over the examples of weight one.

    Args:
      state: the state before.
      images: for each modality uint8 [b, s, s, c].
      label: int32 [b].
      weight: float32 [b], 1 for examples and 0 for padding, which comes last.
      model, optimizer, seed, objective: of the run.
    """
    stream = lambda number: jax.random.fold_in(jax.random.key(seed), number)  # noqa: E731
    key = jax.random.fold_in(stream(DROPOUT), state.step)
    if not objective.plain:
        targets = optax.smooth_labels(
            jax.nn.one_hot(label, model.classes), objective.label_smoothing
        )
        now = jax.random.fold_in(stream(AUGMENT), state.step)
        images, targets = objective.augment(now, images, targets)

    if objective.dtype != "float32":
        images = {name: tower.to_unit_range(x) for name, x in images.items()}
        images = _cast(images, objective.dtype)

    def loss_function(params):
        params = _cast(params, objective.dtype)  # their gradients come back as float32
        logits = model.apply({"params": params}, images, train=True, rngs={"dropout": key})
        logits = logits.astype(jnp.float32)
        if objective.plain:
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, label) * weight
        else:
            losses = optax.softmax_cross_entropy(logits, targets) * weight
        return losses.sum() / weight.sum(), (losses.sum(), logits)

    grads, (loss_sum, logits) = jax.grad(loss_function, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    finite = jnp.isfinite(loss_sum)
    return TrainState(
        step=state.step + 1,
        params=params,
        opt_state=opt_state,
        average=_averaged(state.average, params, state.step, objective.average),
        loss_sum=state.loss_sum + loss_sum,
        correct=state.correct + ((logits.argmax(-1) == label) * weight).sum(),
        seen=state.seen + weight.sum(),
        diverged_at=jnp.where((state.diverged_at < 0) & ~finite, state.step, state.diverged_at),
        best=state.best,
    )


def _cast(tree, dtype: str):
    return jax.tree.map(lambda x: x.astype(dtype), tree)


def _averaged(average, params, step: jax.Array, decay: float):
    """The running average after a step; Polyak and Juditsky (1992), with exponential weights.

    The decay grows to its value, so that the first parameters, which know nothing, soon have no
    weight.
    """
    if not average:
        return average
    decay = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)


def make_chunk(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    seed: int,
    mesh: Mesh,
    *,
    objective: Objective = Objective(),
    loop_on_device: bool | None = None,
) -> Callable[..., TrainState]:
    """Compiles `chunk(state, data, index, weight, first, last) -> state`.

    It makes the steps first..last-1 of an epoch. `index` and `weight` are those of the whole epoch
    (see `batches.batches`). The state is donated.

    On accelerators the steps run in one loop on the device. On CPUs they are dispatched one by one,
    since XLA runs convolutions in a loop body slower there (docs/performance.md,
    https://github.com/jax-ml/jax/issues/12868), while a dispatch costs next to nothing. The body
    is the same function; `loop_on_device` chooses otherwise.
    """
    # The seed is an argument of what is compiled: other seeds are then the same program.
    seed = jnp.uint32(seed)
    if loop_on_device is None:
        loop_on_device = mesh.devices.flat[0].platform != "cpu"
    one, loop = _programs(model, optimizer, mesh, objective)
    if loop_on_device:
        return lambda *arguments: loop(*arguments, seed)

    def chunk(state, data, index, weight, first, last):
        for i in range(first, last):
            state = one(state, data, index, weight, i, seed)
        return state

    return chunk


# Cells that differ in seed or fold are the same program: a process traces and compiles it once.
_KEPT_PROGRAMS = 32


@functools.lru_cache(_KEPT_PROGRAMS)
def _programs(model, optimizer, mesh, objective):
    """One step, and a loop of steps, compiled when they are called first."""
    whole, split = sharding.replicated(mesh), sharding.by_batch(mesh)

    def body(state, data, index, weight, i, seed):
        index = jax.lax.with_sharding_constraint(index[i], split)
        images, label = data.take(index)
        images = jax.lax.with_sharding_constraint(images, split)
        return update(
            state,
            images,
            label,
            weight[i],
            model=model,
            optimizer=optimizer,
            seed=seed,
            objective=objective,
        )

    def loop(state, data, index, weight, first, last, seed):
        return jax.lax.fori_loop(
            first, last, lambda i, s: body(s, data, index, weight, i, seed), state
        )

    compiled = functools.partial(
        jax.jit,
        donate_argnums=0,
        out_shardings=whole,
        compiler_options=sharding.compiler_options(mesh),
    )
    return compiled(body), compiled(loop)


@functools.lru_cache(_KEPT_PROGRAMS)
def make_init(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    batch: tuple[tuple[str, jax.ShapeDtypeStruct], ...],
    mesh: Mesh,
    *,
    averaged: bool,
    keeps_best: bool,
) -> Callable[[int], TrainState]:
    """Compiles `init(seed)`: the state before the first step, with memory for the best one."""

    def init(seed):
        state = init_state(model, optimizer, dict(batch), seed, averaged=averaged)
        return note_best(state) if keeps_best else state

    return jax.jit(init, out_shardings=sharding.replicated(mesh))


@functools.lru_cache(_KEPT_PROGRAMS)
def make_predict(model: nn.Module, mesh: Mesh) -> Callable[..., jax.Array]:
    """Compiles `predict(params, data, index)`: int32 [b] -> probabilities float32 [b, classes]."""
    split = sharding.by_batch(mesh)

    def predict(params, data, index):
        images, _ = data.take(jax.lax.with_sharding_constraint(index, split))
        logits = model.apply({"params": params}, images, train=False)
        return jax.nn.softmax(logits.astype(jnp.float32))

    return jax.jit(
        predict,
        out_shardings=sharding.replicated(mesh),
        compiler_options=sharding.compiler_options(mesh),
    )
