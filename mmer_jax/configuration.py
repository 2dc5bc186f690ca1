"""What a config means: its rows, its cells, its identity, and whether a workdir is its own."""

import dataclasses
import difflib
import hashlib
import json
import math
import os
import pathlib
import runpy
from collections.abc import Mapping, Sequence

import ml_collections

from mmer_jax import errors, modalities
from mmer_jax.evaluation import records

# Fields that choose among cells, or say where things are and how they run. They are no part of what
# a result is, so they may differ within a workdir.
FREE_FIELDS = (
    "row",
    "table_rows",
    "protocols",
    "folds",
    "seeds",
    "protocol_seeds",
    "run",
    "data.manual_dir",
    "data.download",
    "data.data_dir",
    "data.pack",
    "data.pack_storage",
    "test_data.manual_dir",
    "test_data.data_dir",
    "test_data.pack",
    "sets",
)

# Fields that name a file; what is in it is part of what a result is, and not where it lies.
FILE_FIELDS = ("data.picked", "data.build.frame_scores", "data.build.detector_model")

# Training draws from 32-bit seeds.
LARGEST_SEED = 2**32 - 1

NOTE = "config.json"


@dataclasses.dataclass(frozen=True, order=True)
class Cell:
    """One network to train: a row of the table, under one protocol, fold and seed."""

    row: str
    protocol: str
    fold: int
    seed: int

    @property
    def name(self) -> str:
        """For file names; readable, and different for different cells."""
        return records.cell_name(self.row, self.protocol, self.fold, self.seed)


def split_names(config: ml_collections.ConfigDict) -> None:
    """Splits texts like "a,b" within tuples of text, in place.

    The command line gives `--config.protocols=triplet_random,clip_random` as one text.
    """
    for field, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            split_names(value)
        elif isinstance(value, tuple) and any(isinstance(v, str) and "," in v for v in value):
            config[field] = tuple(n.strip() for v in value for n in v.split(",") if n.strip())


def rows_asked_for(config: ml_collections.ConfigDict) -> tuple[str, ...]:
    """The rows to run, in order; before a decision-level row those whose networks it needs.

    Raises:
      UserError: an unknown row; the message lists the known ones.
    """
    names = [n for n in config.row.split(",") if n] if config.row else list(config.table_rows)
    found = []
    for name in names:
        if name not in config.rows:
            raise errors.unknown("row", name, config.rows)
        of = tuple(config.rows[name].get("fusion", {}).get("of", ())) or tuple(config.fusion.of)
        for needed in of:
            if needed not in config.rows:
                raise errors.unknown(f"row that {name} joins", needed, config.rows)
            if config.rows[needed].get("fusion", {}).get("method", ""):
                raise errors.UserError(
                    f"row {name!r} of the config joins {needed!r}, which is itself a decision of "
                    "several networks; join rows that are networks"
                )
        found += [*of, name]
    return tuple(dict.fromkeys(found))


def resolve_row(
    config: ml_collections.ConfigDict, row: str, overrides: Mapping[str, object] | None = None
) -> ml_collections.ConfigDict:
    """The config of one row: the config, then the row's fields, then those of the command line.

    Args:
      config: as loaded.
      row: a name in `config.rows`.
      overrides: dotted field -> value, as given on the command line. They win over the row, since
        a person typed them.

    Raises:
      UserError: the row overrides a field that does not exist, or the result is not consistent.
    """
    resolved = config.copy_and_resolve_references()
    for field in flatten(config.rows[row].to_dict()):
        if problem := unknown_field(config, field):
            raise errors.UserError(f"row {row!r} of the config: {problem}")
    resolved.update(config.rows[row].to_dict())
    if "modalities" in (overrides or {}):
        raise errors.UserError(
            "the modalities follow from the row; choose one after the config's name, as in "
            f"--config=FILE:{row}. Known: {', '.join(config.rows)}"
        )
    for field, value in (overrides or {}).items():
        if not field.startswith("rows."):
            resolved.update_from_flattened_dict({field: value})
    split_names(resolved)
    with resolved.unlocked():
        del resolved.rows
    resolved.modalities = tuple(m.name for m in modalities.get(resolved.modalities))
    _check(resolved)
    return resolved


def _check(config: ml_collections.ConfigDict) -> None:
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


def measured_epochs(config: ml_collections.ConfigDict) -> tuple[int, ...]:
    """The epochs at which a cell is measured: those up to the last, and the last.

    The last alone where validation data choose the epoch or the learning rate: what is chosen is
    one network.
    """
    if config.stopping.patience or config.optimizer.choices:
        return (config.epochs,)
    wanted = {int(e) for e in config.measure_epochs if 0 < e < config.epochs}
    return (*sorted(wanted), config.epochs)


def identity(config: ml_collections.ConfigDict) -> dict[str, object]:
    """Every field that makes a result what it is, as dotted field -> JSON value."""
    flat = flatten(config.to_dict())
    for field in FILE_FIELDS:
        if flat.get(field):
            flat[field] = file_digest(flat[field], field)
    return {
        field: value
        for field, value in flat.items()
        if not is_free(field) and not field.startswith("rows.")
    }


def is_free(field: str) -> bool:
    """Whether a dotted field is no part of what a result is: one of FREE_FIELDS, or within one."""
    return any(field == free or field.startswith(free + ".") for free in FREE_FIELDS)


def digest(config: ml_collections.ConfigDict) -> str:
    """Twelve hex digits over `identity`."""
    return hashlib.sha256(json.dumps(identity(config), sort_keys=True).encode()).hexdigest()[:12]


def file_digest(path: str, field: str) -> str:
    """Digest of the file that a field of the config names.

    Raises:
      UserError: there is no such file.
    """
    file = pathlib.Path(path).expanduser()
    if not file.is_file():
        raise errors.UserError(f"there is no file {path}, which config.{field} names")
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def flatten(tree: Mapping, prefix: str = "") -> dict[str, object]:
    """Nested mapping -> dotted field -> JSON value (tuples become lists)."""
    flat = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat


def check_workdir(
    workdir: pathlib.Path,
    config: ml_collections.ConfigDict,
    rows: Mapping[str, ml_collections.ConfigDict],
    data: Mapping[str, str],
) -> dict:
    """What WORKDIR/config.json shall say of its cells, if they and new ones fit together.

    Args:
      workdir: of the run; may not be there yet.
      config: as loaded, with the command line's overrides.
      rows: the rows about to run -> their resolved configs.
      data: digests of what they are trained from, by name; empty where it is not known yet.

    Raises:
      UserError: the workdir holds cells made with another config or other data; names the fields.
    """
    mine = {
        "config": identity(config),
        "rows": {row: identity(resolved) for row, resolved in rows.items()},
        "data": dict(data),
    }
    path = workdir / NOTE
    saved = ("checkpoints/*/[0-9]*", "checkpoints/*/rate*/[0-9]*", "checkpoints/*/rate*.json")
    traces = (records.FILE_NAME, "predictions/*", *saved)
    if not any(any(workdir.glob(trace)) for trace in traces):
        return mine
    if not path.exists():
        raise errors.UserError(
            f"{workdir} holds cells but no {NOTE} that says what they were made with; choose "
            "another --workdir"
        )
    theirs = json.loads(path.read_text())
    differ = differences(mine["config"], theirs["config"])
    if not differ:  # or each row would tell the same once more
        for row in sorted(set(mine["rows"]) & set(theirs["rows"])):
            differ += differences(mine["rows"][row], theirs["rows"][row], f"row {row}: ")
    for name in set(mine["data"]) & set(theirs["data"]):
        differ += differences({name: data[name]}, {name: theirs["data"][name]}, "data digest of ")
    if differ:
        raise errors.UserError(
            f"{workdir} holds cells made with another config. What differs: {'; '.join(differ)}. "
            "Choose another --workdir, or go back to the fields of that one."
        )
    return {"config": mine["config"]} | {k: {**theirs[k], **mine[k]} for k in ("rows", "data")}


def claim_workdir(workdir: pathlib.Path, *config_rows_data) -> None:
    """Checks as `check_workdir`, and writes the note."""
    note = check_workdir(workdir, *config_rows_data)
    workdir.mkdir(parents=True, exist_ok=True)
    temporary = workdir / f"{NOTE}.{os.getpid()}.tmp"
    temporary.write_text(json.dumps(note, indent=1, sort_keys=True) + "\n")
    temporary.replace(workdir / NOTE)


def differences(mine: Mapping, theirs: Mapping, prefix: str = "") -> list[str]:
    """Which fields two flat configs do not share, in words."""
    absent = "(absent)"
    return [
        f"{prefix}{field}: there {theirs.get(field, absent)}, now {mine.get(field, absent)}"
        for field in sorted({*mine, *theirs})
        if mine.get(field, absent) != theirs.get(field, absent)
    ]


def cells(
    rows: Sequence[str],
    protocols: Mapping[str, Sequence[int]],
    seeds: Mapping[str, Sequence[int]],
) -> list[Cell]:
    """All cells, in the order in which they run.

    Args:
      rows: names.
      protocols: name -> its folds.
      seeds: name of each protocol -> ints.
    """
    return [
        Cell(row, protocol, fold, int(seed))
        for row in rows
        for protocol, folds in protocols.items()
        for seed in seeds[protocol]
        for fold in folds
    ]
