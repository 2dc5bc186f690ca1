"""Checks of a config's fields that need nothing but the config."""

import difflib
import math
import runpy
from collections.abc import Sequence

import ml_collections

from mmer_jax import errors

# Training draws from 32-bit seeds.
LARGEST_SEED = 2**32 - 1


def check(config: ml_collections.ConfigDict) -> None:
    positive = ("batch_size", "epochs", "data.size", "run.chunk_seconds", "run.predict_batch")
    for field in positive:
        value = config
        for part in field.split("."):
            value = value[part]
        if value <= 0:
            raise errors.UserError(f"config.{field} is {value}; it must be above 0")
    for field in ("seeds", "folds", "measure_epochs"):
        most = LARGEST_SEED if field == "seeds" else math.inf
        wrong = [v for v in config[field] if not isinstance(v, int) or not 0 <= v <= most]
        if wrong:
            allowed = "from 0" if most == math.inf else f"from 0 to {most}"
            raise errors.UserError(
                f"config.{field} must be whole numbers {allowed}, found {wrong[0]!r}; several are "
                f"given as --config.{field}=0,1,2"
            )
    for protocol, seeds in config.protocol_seeds.items():
        if not seeds or any(not isinstance(v, int) or not 0 <= v <= LARGEST_SEED for v in seeds):
            raise errors.UserError(
                f"config.protocol_seeds.{protocol} must be whole numbers from 0 to {LARGEST_SEED}, "
                f"found {seeds}"
            )
    if config.split.tested not in ("test", "validation"):
        raise errors.unknown("part to be tested", config.split.tested, ("test", "validation"))
    if config.split.tested == "validation" and not config.split.validation_fraction:
        raise errors.UserError(
            "config.split.tested is validation, but there is no validation part: choose "
            "--config.split.validation_fraction above 0"
        )
    if not config.seeds:
        raise errors.UserError("config.seeds is empty; one is --config.seeds=0")
    for part in ("test_fraction", "validation_fraction"):
        value = config.split[part]
        if not 0 <= value < 1 or (part == "test_fraction" and value == 0):
            raise errors.UserError(f"config.split.{part} is {value}; it must be between 0 and 1")
    for field in ("dropout_features", "dropout_output"):
        if not 0 <= config.model[field] < 1:
            raise errors.UserError(
                f"config.model.{field} is {config.model[field]}; it must be at least 0 and below 1"
            )
    if len(config.data.emotions) < 2 or len(set(config.data.emotions)) < len(config.data.emotions):
        raise errors.UserError(
            "config.data.emotions needs two or more different emotions, "
            f"found {tuple(config.data.emotions)}"
        )


def unknown_field(config: ml_collections.ConfigDict, field: str) -> str | None:
    """Says what is wrong with a dotted field that the config lacks, or None if it has it."""
    node = config
    for name in field.split("."):
        if not isinstance(node, ml_collections.ConfigDict):
            return f"no field {field!r}: {node!r} has no parts"
        if name not in node:
            guess = difflib.get_close_matches(name, list(node), 1)
            meant = f"; did you mean {guess[0]!r}?" if guess else "."
            return f"no field {name!r}{meant} Known there: {', '.join(sorted(node))}"
        node = node[name]
    return None


def unknown_flag(arguments: Sequence[str]) -> str | None:
    """Which --config.FIELD of a command line the config that it names lacks, in words.

    ml_collections says that there is none, and not what there is.
    """
    words = " ".join(arguments).replace("--config=", "--config ").split()
    given = words[words.index("--config") + 1]
    config = runpy.run_path(given.partition(":")[0])["get_config"]()
    fields = [w.removeprefix("--config.").split("=")[0] for w in words if "--config." in w]
    problems = (unknown_field(config, field) for field in fields)
    return next((problem for problem in problems if problem), None)
