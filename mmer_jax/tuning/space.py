"""Search space: the fields of a config that are searched, and the distribution of their values.

    optimizer.learning_rate=log:1e-4:3e-3   log-uniform between the two
    model.dropout_output=0.2:0.6            uniform between the two; for an integer field, over the
                                            integers from LOW to HIGH, both included
    optimizer.weight_decay=1e-5,1e-4,1e-3   one of the values, with equal probability

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

# Fields that define what is measured, or where and how it runs. Trials that differ in one of them
# could not be compared.
FIXED = (
    *identity.EXCLUDED,
    "split",
    "test_data",
    "data.dataset",
    "data.builder",
    "data.picked",
    "data.rendered",
    "fusion",
)

DIGITS = 3  # significant digits of a float, so that the printed value is the trained one


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of the config, and the distribution of its values.

    Attributes:
      name: Dotted name of the field.
      draw: Function that draws a value with a random generator.
    """

    name: str
    draw: Callable[[np.random.Generator], Value]


def parse(config: ml_collections.ConfigDict, text: str) -> Field:
    """Parses a field and its distribution from the command line.

    Args:
      config: Config whose fields can be searched; the type of a value is that of its field.
      text: FIELD=WHAT, where WHAT is LOW:HIGH, log:LOW:HIGH or A,B,C.

    Raises:
      UserError: `text` is not FIELD=WHAT, FIELD does not exist or cannot be searched, or WHAT is
        neither a range nor a list of two or more different values of the type of FIELD.
    """
    name, equals, what = text.partition("=")
    if not equals or not what:
        raise errors.UserError(
            f"{text!r} is not FIELD=WHAT, such as optimizer.learning_rate=log:1e-4:3e-3, "
            "model.dropout_output=0.2:0.6 or optimizer.weight_decay=1e-4,1e-3"
        )
    if problem := validation.describe_unknown_field(config, name):
        raise errors.UserError(f"--search {text}: {problem}")
    if any(name == fixed or name.startswith(fixed + ".") for fixed in FIXED):
        raise errors.UserError(
            f"--search {text}: config.{name} defines what is measured, or where; it must be the "
            "same for all trials"
        )
    *parents, last = name.split(".")
    node = config
    for parent in parents:
        node = node[parent]
    field_type = node.get_type(last)
    if field_type not in _PARSERS:
        raise errors.UserError(
            f"--search {text}: config.{name} cannot be searched: it is not a number, a name or "
            "true/false"
        )
    return Field(name, _make_draw(field_type, what, text))


def _make_draw(field_type: type, what: str, text: str) -> Callable[[np.random.Generator], Value]:
    """Makes the function that draws a value; `text` is quoted in error messages."""
    ends = what.removeprefix("log:").split(":")
    if field_type not in (int, float) or len(ends) == 1:
        values = [_parse_value(field_type, word, text) for word in what.split(",")]
        if len(set(values)) < 2 or len(set(values)) < len(values):
            raise errors.UserError(f"--search {text}: give two or more different values")
        return lambda rng: values[rng.integers(len(values))]
    if len(ends) != 2:
        raise errors.UserError(f"--search {text}: a range is LOW:HIGH or log:LOW:HIGH")
    low, high = (_parse_value(field_type, end, text) for end in ends)
    is_log = what.startswith("log:")
    if not low < high or (is_log and low <= 0):
        raise errors.UserError(
            f"--search {text}: LOW must be below HIGH{' and above 0' if is_log else ''}"
        )

    def draw(rng: np.random.Generator) -> Value:
        if field_type is int and not is_log:
            return int(rng.integers(low, high + 1))
        x = (
            math.exp(rng.uniform(math.log(low), math.log(high)))
            if is_log
            else rng.uniform(low, high)
        )
        return min(max(round(x) if field_type is int else float(f"{x:.{DIGITS}g}"), low), high)

    return draw


def _parse_value(field_type: type, word: str, text: str) -> Value:
    try:
        value = _PARSERS[field_type](word.strip())
        if field_type is float and not math.isfinite(value):
            raise ValueError(f"{word} is not finite")
    except (KeyError, ValueError) as error:
        raise errors.UserError(
            f"--search {text}: {word!r} is not {_TYPE_NAMES[field_type]}"
        ) from error
    return value


_PARSERS: dict[type, Callable[[str], Value]] = {
    bool: lambda word: {"true": True, "false": False}[word.lower()],
    int: int,
    float: float,
    str: str,
}
_TYPE_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "a name"}


def draw(
    fields: Sequence[Field], own: Mapping[str, Value], trials: int, seed: int
) -> list[dict[str, Value]]:
    """Draws the values of each trial, all different.

    The first trial has the config's own values. A larger number of trials does not change the first
    ones.

    Args:
      fields: The fields that are searched.
      own: Name of a field -> its value in the config.
      trials: Number of trials; fewer are returned if the fields have fewer different values.
      seed: Seed of the random generator.

    Returns:
      For each trial, name of a field -> its value.
    """
    rng = np.random.default_rng(seed)
    drawn, repetitions = [dict(own)], 0
    while len(drawn) < trials and repetitions < 1000:
        values = {field.name: field.draw(rng) for field in fields}
        repetitions = repetitions + 1 if values in drawn else 0
        if not repetitions:
            drawn.append(values)
    return drawn


def format_flags(values: Mapping[str, Value]) -> str:
    """Formats the values of a trial as flags of run.py, quoted for a shell.

    Args:
      values: Dotted name of a field -> its value.
    """
    return " ".join(shlex.quote(f"--config.{name}={value}") for name, value in values.items())
