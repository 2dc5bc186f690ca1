"""The groups that a protocol keeps together, and the five folds of subjects.

A group function returns the group of each row of the metadata table, as an array [n]; rows with
equal values are one group. Rows that share a waveform (`content_id`) are in one group whatever else
differs, except with `single_examples`, which makes every row a group.
"""

import itertools
import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from mmer_jax import errors

Table = Mapping[str, np.ndarray]  # metadata: column -> array [n], one row per example


class NotApplicable(errors.UserError):
    """The error for a protocol that cannot split a table.

    The message says what the table lacks. It continues a sentence that begins with the protocol's
    name, such as "needs two subjects or more".
    """


def column(table: Table, name: str) -> np.ndarray:
    """Returns a column of a table, an array [n].

    Raises:
      NotApplicable: The table does not have the column.
    """
    if name not in table:
        raise NotApplicable(f"needs the column {name}, which the metadata do not have")
    return np.asarray(table[name])


def single_examples(table: Table) -> np.ndarray:
    """Makes every row a group of its own: returns 0..n-1, int64 [n]."""
    return np.arange(len(column(table, "clip")))


def recordings(table: Table) -> np.ndarray:
    """Groups everything that was made from one recording.

    These are the views of the recording, and in RAVDESS its video-only copy, which has another
    name, the same images and no audio.

    Returns:
      str [n], the group of each row.
    """
    clip, content = column(table, "clip"), content_ids(table)
    has_statement = column(table, "statement") > 0
    columns = ("subject", "emotion", "intensity", "statement", "repetition")
    take = np.where(has_statement, _join_columns(table, columns), "")
    return _connect(np.where(content == "", clip, content), clip, take)


def takes(table: Table) -> np.ndarray:
    """Groups all repetitions of a statement by one actor in one emotion and intensity.

    Returns:
      str [n], the group of each row.

    Raises:
      NotApplicable: The statement of a clip is not known.
    """
    if not (column(table, "statement") > 0).all():
        raise NotApplicable("needs the statement of every clip, and the metadata do not have it")
    take = _join_columns(table, ("subject", "emotion", "intensity", "statement"))
    return _connect(take, content_ids(table))


def subjects(table: Table) -> np.ndarray:
    """Groups all rows of a subject; subjects who share a waveform are one group.

    Returns:
      str [n], the group of each row.
    """
    return _connect(column(table, "subject"), content_ids(table))


def content_ids(table: Table) -> np.ndarray:
    """Returns the `content_id` of each row, str [n]; "" for a row without audio."""
    content = column(table, "content_id")
    return np.where(np.char.startswith(content, "silent "), "", content)


def _join_columns(table: Table, names: tuple[str, ...]) -> np.ndarray:
    columns = [column(table, name).tolist() for name in names]
    return np.array([" ".join(map(str, values)) for values in zip(*columns, strict=True)])


def _connect(names: np.ndarray, *links: np.ndarray) -> np.ndarray:
    """Merges groups that are linked.

    Args:
      names: str [n], the group of each row.
      links: str [n] each. Groups of which two rows have the same text are merged; "" links nothing.

    Returns:
      str [n], the group of each row. A merged group has the first of its names in alphabetical
      order.
    """
    nodes, node = np.unique(names, return_inverse=True)
    edges = [np.empty((2, 0), np.int64)]
    for link in links:
        linked = np.flatnonzero(link != "")
        _, first, member = np.unique(link[linked], return_index=True, return_inverse=True)
        edges.append(np.stack([node[linked], node[linked[first[member]]]]))
    ends = np.concatenate(edges, axis=1)
    graph = sparse.coo_array((np.ones(ends.shape[1]), ends), shape=(len(nodes), len(nodes)))
    _, component = csgraph.connected_components(graph, directed=False)
    _, representative = np.unique(component, return_index=True)  # nodes are sorted: the first name
    return nodes[representative[component]][node]


# The five folds most used in print for RAVDESS: the actors tested in each.
RAVDESS_FOLDS = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)


def five_folds(table: Table) -> dict[int, list[str]]:
    """Assigns the subjects of a table to the folds of actor_kfold (see registry.subject_folds).

    Args:
      table: Metadata with the column `subject`, and optionally `clip` and `emotion`.

    Returns:
      Fold number -> names of the subjects that are tested in the fold; folds without a subject are
      left out.

    Raises:
      NotApplicable: Fewer than two folds have a subject.
    """
    names = np.unique(column(table, "subject")).tolist()
    published = [[f"actor_{number:02d}" for number in fold] for fold in RAVDESS_FOLDS]
    if set(names) <= {name for fold in published for name in fold}:
        folds = [[name for name in fold if name in names] for fold in published]
    else:
        folds = _balanced_folds(table, names, len(RAVDESS_FOLDS))
    nonempty = {i: fold for i, fold in enumerate(folds) if fold}
    if len(nonempty) < 2:
        raise NotApplicable(f"needs subjects in two of its folds or more, found {', '.join(names)}")
    return nonempty


def _balanced_folds(table: Table, names: list[str], count: int) -> list[list[str]]:
    """Divides subjects into folds with similar distributions of emotions.

    Subjects are dealt in the order given. Then two subjects of different folds are exchanged as
    long as some exchange brings the folds' shares of every emotion closer to each other: each time
    the exchange that helps most, the first of several equal ones. Only integers are compared, so
    that the folds are the same on every machine.

    Args:
      table: Metadata with the column `subject`. Without `clip` and `emotion` nothing is exchanged.
      names: Names of the subjects.
      count: Number of folds.

    Returns:
      The names of the subjects in each fold, in alphabetical order.
    """
    folds = [names[i::count] for i in range(count)]
    if not {"clip", "emotion"} <= set(table):
        return folds
    columns = (np.asarray(table[name]).tolist() for name in ("subject", "emotion", "clip"))
    clips = Counter((subject, emotion) for subject, emotion, _ in set(zip(*columns, strict=True)))
    totals: Counter[str] = Counter()
    for (_, emotion), n in clips.items():
        totals[emotion] += n
    whole = math.lcm(*totals.values())
    share = {s: [clips[s, e] * whole // n for e, n in sorted(totals.items())] for s in names}

    def change(i: int, a: str, j: int, b: str) -> int:
        """Returns the change of the sum of squared shares if a (fold i) and b (j) are exchanged."""
        moved = [y - x for x, y in zip(share[a], share[b], strict=True)]
        sums = ([sum(s) for s in zip(*(share[m] for m in folds[k]), strict=True)] for k in (i, j))
        return sum(2 * d * (x - y + d) for d, x, y in zip(moved, *sums, strict=True))

    while True:
        pairs = (
            (i, a, j, b)
            for i, j in itertools.combinations(range(count), 2)
            for a in folds[i]
            for b in folds[j]
        )
        i, a, j, b = best = min(pairs, key=lambda pair: change(*pair), default=(0, "", 0, ""))
        if not a or change(*best) >= 0:
            return [sorted(fold) for fold in folds]
        folds[i][folds[i].index(a)], folds[j][folds[j].index(b)] = b, a
