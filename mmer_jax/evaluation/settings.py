"""The setting of a result: inductive or transductive, on test or on validation examples.

An inductive network classifies a clip from the clip and from what it learned in training. A
transductive one also reads other recordings of the tested speaker, without their labels. Both
properties follow from the configs in records. They are named wherever a result is shown.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from mmer_jax.results.records import Record

Setting = Literal["inductive", "transductive"]
Tested = Literal["test", "validation"]

# config.input.normalization, a key of training.normalization.NORMALIZATIONS -> setting.
BY_NORMALIZATION: dict[str, Setting] = {
    "unit": "inductive",
    "global": "inductive",
    "per_speaker": "transductive",
}

VALIDATION_NOTE = (
    "Validation: the examples that were measured are those of the validation subset "
    "(config.split.tested is validation), for choosing hyperparameters. The test subset was not "
    "read, and these are no test results."
)


def configs_of(record: Record, stored: Iterable[Record]) -> tuple[Mapping[str, Any], ...]:
    """Returns the configs that a result depends on.

    Args:
      record: The record of the result.
      stored: All records of the workdir.

    Returns:
      The config of the record's row and, if the row is a late fusion, those of the rows that it
      combines.
    """
    fusion = record["config"].get("fusion", {})
    members = fusion.get("rows", ()) if fusion.get("method") else ()
    by_row = {r["row"]: r["config"] for r in stored if r["row"] in members}
    return (record["config"], *by_row.values())


def setting_of(configs: Iterable[Mapping[str, Any]]) -> Setting:
    """Returns the setting of a result; it is transductive if one of several networks is.

    Args:
      configs: Configs as `configs_of` returns them.
    """
    is_transductive = any(_setting_of_network(config) == "transductive" for config in configs)
    return "transductive" if is_transductive else "inductive"


def _setting_of_network(config: Mapping[str, Any]) -> Setting:
    section = config.get("input", {})
    # Records made before the field was renamed must not lose the caveat.
    value = section.get("normalization", section.get("normalisation", "unit"))
    return BY_NORMALIZATION.get(value, "transductive")


def tested_subset(config: Mapping[str, Any]) -> Tested:
    """Returns the subset whose examples were measured.

    Args:
      config: The config of a record.
    """
    return config.get("split", {}).get("tested", "test")


def add_labels(name: str, setting: Setting, tested: Tested) -> str:
    """Appends what must be known of a result to its name, as in "mel (transductive, validation)".

    Args:
      name: Name of a config row or protocol.
      setting: Setting of the result.
      tested: The subset that was measured.

    Returns:
      The name alone for a test result of an inductive network. A label that is the name itself is
      not repeated.
    """
    labels = ["transductive"] * (setting == "transductive")
    labels += ["validation"] * (tested == "validation")
    labels = [label for label in labels if label != name]
    return f"{name} ({', '.join(labels)})" if labels else name


def title_of(record: Record, stored: Iterable[Record]) -> str:
    """Returns the name of a record's row with the labels of the result.

    Args:
      record: The record.
      stored: All records of the workdir.
    """
    setting = setting_of(configs_of(record, stored))
    return add_labels(record["row"], setting, tested_subset(record["config"]))


def describe_transductive(records: Iterable[Record]) -> str:
    """Returns the caveat of transductive results.

    Args:
      records: Records of transductive results.
    """
    counts = {count for record in records if (count := _recordings_per_speaker(record))}
    number = "-".join(str(n) for n in sorted({min(counts), max(counts)})) if counts else ""
    return (
        "Transductive: to classify a clip, other recordings of its speaker are read as well, "
        "without their labels (config.input.normalization is per_speaker)"
        + (f": here {number} per speaker, the tested ones among them" if number else "")
        + ". Where all emotions are equally frequent among them, as in acted datasets, this "
        "balance is used. The accuracy does not hold for a speaker with one recording, or with "
        "recordings of one emotion (mmer speakers measures it), and is not comparable with that "
        "of inductive rows or with published results for single clips."
    )


def _recordings_per_speaker(record: Record) -> int | None:
    """Returns the mean number of recordings per speaker; None if the record lacks the numbers."""
    clips, subjects = record["dataset"].get("clips"), record["dataset"].get("subjects")
    count = len(subjects) if isinstance(subjects, list) else subjects
    return round(clips / count) if clips and count else None


def describe(settings: Iterable[tuple[Setting, Tested, Iterable[Record]]]) -> list[str]:
    """Returns the caveats of results, each once; empty for test results of inductive networks.

    Args:
      settings: For each result its setting, the subset that was measured, and its records.
    """
    settings = list(settings)
    transductive = [r for setting, _, rs in settings if setting == "transductive" for r in rs]
    notes = [describe_transductive(transductive)] if transductive else []
    if any(tested == "validation" for _, tested, _ in settings):
        notes.append(VALIDATION_NOTE)
    return notes
