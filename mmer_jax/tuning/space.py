"""What is searched: named fields of a config, and what is drawn for each.

    optimizer.learning_rate=log:1e-4:3e-3      between the two, evenly in the logarithm
    model.dropout_output=0.2:0.6               between the two, evenly; whole numbers where the
                                               field has them
    optimizer.weight_decay=1e-5,1e-4,1e-3      one of these

Bergstra and Bengio, Random search for hyper-parameter optimization, JMLR 13 (2012).
"""

import dataclasses
import math
import shlex
from collections.abc import Callable, Mapping, Sequence

import ml_collections
import numpy as np

from mmer_jax import errors
from mmer_jax.config import identity, validation

Value = bool | int | float | str

# Fields that say what is measured, or where and how it runs. Trials that differ in one of them
# would not be answers to the same question.
FIXED = (
    *identity.EXCLUDED,
    "table",
    "rows",
    "split",
    "test_data",
    "data.dataset",
    "data.builder",
    "data.picked",
    "data.rendered",
    "fusion",
    "paper",
)

DIGITS = 3  # significant ones of a drawn float, so that what is printed is what was trained


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of the config, and how its values are drawn.

    Attributes:
      name: dotted.
      draw: a generator -> a value.
    """

    name: str
    draw: Callable[[np.random.Generator], Value]


def parse(config: ml_collections.ConfigDict, text: str) -> Field:
    """A field from the command line.

    Args:
      config: as loaded, so that fields without a value have a type.
      text: FIELD=WHAT, as above.

    Raises:
      UserError: no such field, one that is not searched, or nothing that could be drawn for it.
    """
    name, equals, what = text.partition("=")
    if not equals or not what:
        raise errors.UserError(
            f"{text!r} is no FIELD=WHAT, such as optimizer.learning_rate=log:1e-4:3e-3, "
            "model.dropout_output=0.2:0.6 or optimizer.weight_decay=1e-4,1e-3"
        )
    if problem := validation.unknown_field(config, name):
        raise errors.UserError(f"--search {text}: {problem}")
    if any(name == fixed or name.startswith(fixed + ".") for fixed in FIXED):
        raise errors.UserError(
            f"--search {text}: config.{name} says what is measured, or where; it is the same for "
            "all trials and cannot be searched"
        )
    *parts, last = name.split(".")
    node = config
    for part in parts:
        node = node[part]
    kind = node.get_type(last)
    if kind not in _READ:
        raise errors.UserError(
            f"--search {text}: config.{name} is neither a number nor a name; only such are searched"
        )
    return Field(name, _drawn(kind, what, text))


def _drawn(kind: type, what: str, text: str) -> Callable[[np.random.Generator], Value]:
    ends = what.removeprefix("log:").split(":")
    if kind not in (int, float) or len(ends) == 1:
        values = [_read(kind, word, text) for word in what.split(",")]
        if len(set(values)) < 2 or len(set(values)) < len(values):
            raise errors.UserError(f"--search {text}: give two or more different values")
        return lambda rng: values[rng.integers(len(values))]
    if len(ends) != 2:
        raise errors.UserError(f"--search {text}: a range is LOW:HIGH or log:LOW:HIGH")
    low, high = (_read(kind, end, text) for end in ends)
    is_log = what.startswith("log:")
    if not low < high or (is_log and low <= 0):
        raise errors.UserError(
            f"--search {text}: LOW must be below HIGH{' and above 0' if is_log else ''}"
        )

    def draw(rng: np.random.Generator) -> Value:
        if kind is int and not is_log:
            return int(rng.integers(low, high + 1))
        x = (
            math.exp(rng.uniform(math.log(low), math.log(high)))
            if is_log
            else rng.uniform(low, high)
        )
        return min(max(round(x) if kind is int else float(f"{x:.{DIGITS}g}"), low), high)

    return draw


def _read(kind: type, word: str, text: str) -> Value:
    try:
        value = _READ[kind](word.strip())
        if kind is float and not math.isfinite(value):
            raise ValueError(f"{word} is not finite")
    except (KeyError, ValueError) as error:
        raise errors.UserError(f"--search {text}: {word!r} is no {_NAMES[kind]}") from error
    return value


_READ: dict[type, Callable[[str], Value]] = {
    bool: lambda word: {"true": True, "false": False}[word.lower()],
    int: int,
    float: float,
    str: str,
}
_NAMES = {bool: "true or false", int: "whole number", float: "number", str: "name"}


def draw(
    fields: Sequence[Field], own: Mapping[str, Value], trials: int, seed: int
) -> list[dict[str, Value]]:
    """The values of each trial: the config's own, and then random ones, no two trials alike.

    With more trials the first ones stay the same.

    Args:
      fields: what is searched.
      own: field -> its value in the config.
      trials: how many; fewer come where there are no more different values.
      seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    found, missed = [dict(own)], 0
    while len(found) < trials and missed < 1000:
        values = {field.name: field.draw(rng) for field in fields}
        missed = missed + 1 if values in found else 0
        if not missed:
            found.append(values)
    return found


def flags(values: Mapping[str, Value]) -> str:
    """A trial's values as they are given on the command line of run.py."""
    return " ".join(shlex.quote(f"--config.{name}={value}") for name, value in values.items())
