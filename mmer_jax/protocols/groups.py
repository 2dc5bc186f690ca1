"""The groups that a protocol keeps together, and the five folds of subjects.

A group is named for each row of the metadata table. Rows that share a waveform (`content_id`) are
in one group whatever else differs, unless every row is a group of its own.
"""

import itertools
import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from mmer_jax import errors

Table = Mapping[str, np.ndarray]


class NotApplicable(errors.UserError):
    """What a table lacks for a protocol: a sentence that begins after the protocol's name."""


def column(table: Table, name: str) -> np.ndarray:
    """Returns a column; raises NotApplicable if the table does not have it."""
    if name not in table:
        raise NotApplicable(f"needs the column {name}, which the metadata do not have")
    return np.asarray(table[name])


def single_examples(table: Table) -> np.ndarray:
    """Returns a group for each row."""
    return np.arange(len(column(table, "clip")))


def recordings(table: Table) -> np.ndarray:
    """Returns groups of everything made from one recording.

    These are its views, and RAVDESS's video-only copy of it, which has another name, the same
    images and no audio.
    """
    clip, content = column(table, "clip"), content_ids(table)
    has_statement = column(table, "statement") > 0
    columns = ("subject", "emotion", "intensity", "statement", "repetition")
    take = np.where(has_statement, _join_columns(table, columns), "")
    return _connect(np.where(content == "", clip, content), clip, take)


def takes(table: Table) -> np.ndarray:
    """Returns groups of all repetitions of a statement by one actor in one emotion and intensity.

    Raises:
      NotApplicable: The statement of a clip is not known.
    """
    if not (column(table, "statement") > 0).all():
        raise NotApplicable("needs the statement of every clip, and the metadata do not have it")
    take = _join_columns(table, ("subject", "emotion", "intensity", "statement"))
    return _connect(take, content_ids(table))


def subjects(table: Table) -> np.ndarray:
    """Returns groups of all rows of a subject; subjects who share a waveform are one group."""
    return _connect(column(table, "subject"), content_ids(table))


def content_ids(table: Table) -> np.ndarray:
    """Returns the `content_id` of each row, and "" for rows without audio."""
    content = column(table, "content_id")
    return np.where(np.char.startswith(content, "silent "), "", content)


def _join_columns(table: Table, names: tuple[str, ...]) -> np.ndarray:
    columns = [column(table, name).tolist() for name in names]
    return np.array([" ".join(map(str, values)) for values in zip(*columns, strict=True)])


def _connect(names: np.ndarray, *links: np.ndarray) -> np.ndarray:
    """Returns names in which those that share a link are replaced by the first of them.

    Args:
      names: text [n].
      links: text [n] each; rows of equal text belong together, "" links nothing.
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
    """Returns the subjects that are tested in each fold: see registry.subject_folds.

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
    """Deals subjects in the order of their names, then exchanges pairs of them.

    The exchange that brings the folds' fractions of every emotion closest to each other, the first
    of equals, is made as long as there is one. Integers are compared, so that the folds are the
    same on every machine.
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
        """Returns how the sum of squares changes when a of fold i and b of j are exchanged."""
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
