"""Checks of a config's fields that need nothing but the config."""

import difflib
import math
import runpy
from collections.abc import Sequence
from pathlib import Path

import ml_collections

from mmer_jax import errors

# Training draws from 32-bit seeds.
LARGEST_SEED = 2**32 - 1

POSITIVE_FIELDS = ("batch_size", "epochs", "data.size", "run.predict_batch")


def check(config: ml_collections.ConfigDict) -> None:
    """Checks the fields of a resolved config.

    Raises:
      UserError: A field has an invalid value or type, or two fields contradict each other. The
        message names the field.
    """
    for field in POSITIVE_FIELDS:
        value = config
        for name in field.split("."):
            value = value[name]
        if value <= 0:
            raise errors.UserError(f"config.{field} is {value}; it must be above 0")
    _check_integers("folds", config.folds)
    _check_integers("measure_epochs", config.measure_epochs)
    _check_integers("seeds", config.seeds, LARGEST_SEED)
    if not config.seeds:
        raise errors.UserError("config.seeds is empty; one seed is --config.seeds=0")
    for protocol, seeds in config.protocol_seeds.items():
        _check_integers(f"protocol_seeds.{protocol}", seeds, LARGEST_SEED)
        if not seeds:
            raise errors.UserError(f"config.protocol_seeds.{protocol} is empty")
    _check_split(config.split)
    emotions = config.data.emotions
    if len(emotions) < 2 or len(set(emotions)) < len(emotions):
        raise errors.UserError(
            f"config.data.emotions needs two or more different emotions, found {tuple(emotions)}"
        )


def _check_integers(field: str, values: Sequence[object], largest: float = math.inf) -> None:
    wrong = [v for v in values if not isinstance(v, int) or not 0 <= v <= largest]
    if wrong:
        allowed = "from 0" if largest == math.inf else f"from 0 to {largest}"
        raise errors.UserError(
            f"config.{field} must be whole numbers {allowed}, found {wrong[0]!r}; several are "
            f"given as --config.{field}=0,1,2"
        )


def _check_split(split: ml_collections.ConfigDict) -> None:
    if split.tested not in ("test", "validation"):
        raise errors.unknown("subset to be tested", split.tested, ("test", "validation"))
    for field in ("test_fraction", "validation_fraction"):
        value = split[field]
        if not 0 <= value < 1 or (field == "test_fraction" and value == 0):
            bounds = "above 0 and below 1" if field == "test_fraction" else "at least 0 and below 1"
            raise errors.UserError(f"config.split.{field} is {value}; it must be {bounds}")
    if split.tested == "validation" and not split.validation_fraction:
        raise errors.UserError(
            "config.split.tested is validation, but there is no validation subset: choose "
            "--config.split.validation_fraction above 0"
        )


def describe_unknown_field(config: ml_collections.ConfigDict, field: str) -> str | None:
    """Returns an error message if the config has no such dotted field, or None if it has."""
    node = config
    for name in field.split("."):
        if not isinstance(node, ml_collections.ConfigDict):
            return f"no field {field!r}: {node!r} has no fields"
        if name not in node:
            guess = difflib.get_close_matches(name, list(node), 1)
            hint = f"; did you mean {guess[0]!r}?" if guess else "."
            return f"no field {name!r}{hint} Known there: {', '.join(sorted(node))}"
        node = node[name]
    return None


def describe_unknown_flag(arguments: Sequence[str]) -> str | None:
    """Returns an error message for the first flag --config.FIELD whose field does not exist.

    The error raised by ml_collections does not list the existing fields; this message does.

    Args:
      arguments: The command line. The config file that it names is executed, and exceptions that
        the file raises propagate.

    Returns:
      The message, or None if every field exists or no config file is named.
    """
    words = " ".join(arguments).replace("--config=", "--config ").split()
    if "--config" not in words[:-1]:
        return None
    path = Path(words[words.index("--config") + 1].partition(":")[0]).expanduser()
    config = runpy.run_path(str(path))["get_config"]()
    fields = [w.removeprefix("--config.").split("=")[0] for w in words if "--config." in w]
    problems = (describe_unknown_field(config, field) for field in fields)
    return next((problem for problem in problems if problem), None)
