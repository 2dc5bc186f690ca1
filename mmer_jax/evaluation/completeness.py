"""Which folds of a protocol a pooled result lacks.

A result pools the folds that were run. With `config.folds`, or while a run is unfinished, these may
be some of the protocol's folds only, or other folds for one seed than for another.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmer_jax import errors
from mmer_jax.protocols import registry


def count_expected(records: Sequence[Mapping[str, Any]]) -> int | None:
    """Returns the number of folds that the protocol of some records has on their data.

    Records of earlier versions lack `n_folds`. For these the number follows from the protocol, if
    it has one fold, or from the names of the subjects, if its folds are made of subjects.

    Args:
      records: One or more records of a config row under one protocol.

    Returns:
      The number, or None if it is not known.
    """
    if recorded := [record["n_folds"] for record in records if record.get("n_folds")]:
        return max(recorded)
    protocol = registry.PROTOCOLS.get(records[0]["protocol"])
    if protocol is None:
        return None
    if protocol.test_masks is None:
        return 1
    subjects = records[0]["dataset"].get("subjects")
    if not isinstance(subjects, list):
        return None
    try:
        return len(protocol.folds({"subject": np.array(subjects)}))
    except errors.UserError:  # its folds are made of something else
        return None


def describe_folds(records: Sequence[Mapping[str, Any]]) -> str:
    """Returns the number of folds that records pool: "5", or "2 of 5" if some are missing.

    Args:
      records: One or more records of a config row under one protocol.
    """
    count = len({record["fold"] for record in records})
    expected = count_expected(records)
    return str(count) if expected is None or count >= expected else f"{count} of {expected}"


def describe_missing(records: Sequence[Mapping[str, Any]]) -> str:
    """Returns a description of the folds that records lack; "" if they lack none.

    Args:
      records: One or more records of a config row under one protocol, after one number of epochs.

    Returns:
      A description such as "2 of 5 folds (0, 1); seed 1 lacks fold 1". A seed lacks the folds that
      other seeds have: its result comes from fewer test examples.
    """
    by_seed: dict[int, set[int]] = {}
    for record in records:
        by_seed.setdefault(record["seed"], set()).add(record["fold"])
    found = set().union(*by_seed.values())
    parts = []
    if " of " in (count := describe_folds(records)):
        parts.append(f"{count} folds ({_join(found)})")
    parts += [
        f"seed {seed} lacks fold {_join(found - folds)}"
        for seed, folds in sorted(by_seed.items())
        if folds != found
    ]
    return "; ".join(parts)


def _join(folds: set[int]) -> str:
    return ", ".join(map(str, sorted(folds)))
