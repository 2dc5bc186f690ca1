"""Training subsets of equal size and composition under several protocols, for the leakage ladder.

Under each of the protocols, in each fold, a network trains on equally many speakers, recordings and
examples. A recording is a clip with all its examples, i.e. the versions of its audio and its
frames. Each number is the smallest that any of the protocols has, and they are drawn in this order:

1. Speakers are drawn from those to train on. The others take no part: where a protocol tests
   speakers that it trains on, only drawn speakers are tested. Protocols that test unseen speakers
   test the same ones as ever. Protocols that draw their test subset at random draw it from the
   recordings of the drawn speakers.
2. Recordings of these speakers are drawn from the training subset.
3. Examples of these recordings are drawn, about equally many of each recording.

A protocol that splits examples and not recordings (triplet_random) splits those of the recordings
drawn in step 2: some train and the rest are tested, so that a test example has another version of
its recording in training as often as without equal training. Under the other protocols step 3
leaves out as many examples as are tested there.

All draws depend on the seed, and they are stratified: by gender in step 1, by emotion and speaker
in step 2, by emotion and recording in step 3.
"""

from collections.abc import Callable, Sequence

import numpy as np

from mmer_jax import errors
from mmer_jax.protocols import groups, registry

Splitter = Callable[[str, int, groups.Table], registry.Split]


def split(
    protocol: str,
    fold: int,
    seed: int,
    table: groups.Table,
    *,
    equal_to: Sequence[str],
    split_table: Splitter,
) -> registry.Split:
    """Splits the rows of a table, with a training subset as small as that of other protocols.

    Args:
      protocol: Name of the protocol.
      fold: Fold of the protocol.
      seed: Seed of the draws.
      table: Metadata columns, each an array [n].
      equal_to: Names of the protocols among whose folds the smallest numbers of training speakers,
        recordings and examples are determined.
      split_table: Function (name of a protocol, fold, table) -> split.

    Returns:
      The split of the protocol without the rows that are not drawn. Its training subset has fewer
      speakers, recordings or examples than those of `equal_to` only if there are no more.

    Raises:
      UserError: A protocol does not apply to the table, or too few examples are drawn to have one
        of every emotion.
    """
    compared = [(name, k) for name in equal_to for k in registry.get(name).folds(table)]
    whole = np.arange(len(table["clip"]))
    splits = {}  # (protocol, fold) -> split; all rows train where the test rows are drawn later
    for name, k in dict.fromkeys([*compared, (protocol, fold)]):
        is_drawn = registry.get(name).test_masks is None
        splits[name, k] = (
            registry.Split(whole, whole[:0], whole[:0]) if is_drawn else split_table(name, k, table)
        )
    all_tested = splits[protocol, fold].test
    for unit, strata, stage in (("subject", ("gender",), 2), ("clip", ("emotion", "subject"), 3)):
        size = min(len(np.unique(table[unit][splits[key].train])) for key in compared)
        for (name, k), entry in splits.items():
            left_out = _draw_others(table, entry.train, unit, strata, size, (seed, stage))
            keep = ~np.isin(table[unit], left_out)
            entry = registry.Split(*(rows[keep[rows]] for rows in _subsets(entry)))
            if unit == _drawn_before_split(name):
                rows = entry.train
                try:
                    drawn = split_table(name, k, {column: table[column][rows] for column in table})
                except errors.UserError as error:
                    raise errors.UserError(
                        f"with the {size} {unit}s that config.split.equal_training leaves, {error}"
                    ) from error
                entry = registry.Split(*(rows[indices] for indices in _subsets(drawn)))
            splits[name, k] = entry
    size = min(len(splits[key].train) for key in compared)
    chosen = splits[protocol, fold]
    train = chosen.train
    if size < len(train):
        columns = [table[name][train] for name in ("emotion", "clip")]
        train = train[draw(size, columns, (seed, 4))]
    for purpose, rows, emotions in (
        ("train on", train, table["emotion"]),
        ("test", chosen.test, table["emotion"][all_tested]),
    ):
        missing = np.setdiff1d(emotions, table["emotion"][rows])
        if len(missing):
            raise errors.UserError(
                f"config.split.equal_training leaves no example of {', '.join(missing)} to "
                f"{purpose} under {protocol}, with {len(np.unique(table['clip'][rows]))} clips: "
                "use more recordings, fewer emotions or other protocols"
            )
    return registry.Split(train, chosen.validation, chosen.test)


def _subsets(split: registry.Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return split.train, split.validation, split.test


def _drawn_before_split(protocol: str) -> str | None:
    """Returns the unit after whose draw a protocol draws its test rows; None if it draws none."""
    entry = registry.get(protocol)
    if entry.test_masks is not None:
        return None
    return "clip" if entry.group is groups.single_examples else "subject"


def _draw_others(
    table: groups.Table, train: np.ndarray, unit: str, strata: Sequence[str], size: int, seed
) -> np.ndarray:
    """Draws `size` of the subjects or clips to train on, and returns the names of the others.

    Args:
      table: Metadata columns, each an array [n].
      train: Indices of the training rows.
      unit: Column of the names, "subject" or "clip".
      strata: Columns by which the draw is stratified.
      size: Number of names to draw.
      seed: Seed of np.random.default_rng.
    """
    names, first = np.unique(table[unit][train], return_index=True)
    if size >= len(names):
        return names[:0]
    drawn = draw(size, [table[column][train][first] for column in strata], seed)
    return np.delete(names, drawn)


def draw(size: int, strata: Sequence[np.ndarray], seed) -> np.ndarray:
    """Draws items at random, stratified by one or more columns (systematic sampling).

    The items are sorted by the columns, those with equal values in random order, and taken at equal
    intervals from a random start. Each value of the first column, and each combination of values of
    the first columns, has its share of the draw, rounded down or up.

    Args:
      size: Number of items to draw, at most n.
      strata: One or more columns, each an array [n]; the first is the most important.
      seed: Seed of np.random.default_rng.

    Returns:
      Indices of the drawn items, int64 [size], ascending.
    """
    rng = np.random.default_rng(seed)
    count = len(strata[0])
    order = np.lexsort((rng.random(count), *reversed(strata)))
    # In integers, so that the last position is below `count` whatever is rounded.
    positions = (np.arange(size) * count + rng.integers(count)) // size
    return np.sort(order[positions])
