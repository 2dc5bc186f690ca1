"""What a protocol keeps together: recordings, takes, subjects; and subjects dealt into folds.

A unit is named for each row of the table. Rows that share a waveform, as `content_id` has it, are in
one unit whatever else they are, unless every row is a unit.
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


class Unserved(errors.UserError):
    """What a table lacks for a protocol: a sentence that begins after the protocol's name."""


def column(table: Table, name: str) -> np.ndarray:
    """A column; one that is not there is Unserved."""
    if name not in table:
        raise Unserved(f"needs the column {name}, which the metadata do not have")
    return np.asarray(table[name])


def rows(table: Table) -> np.ndarray:
    """Every row by itself."""
    return np.arange(len(column(table, "clip")))


def recordings(table: Table) -> np.ndarray:
    """All that was made of one recording: its views, and RAVDESS's video-only copy of it.

    The copy has another name and no audio. It has the same images.
    """
    clip, waveform = column(table, "clip"), waveforms(table)
    said = column(table, "statement") > 0
    facts = ("subject", "emotion", "intensity", "statement", "repetition")
    take = np.where(said, _joined(table, facts), "")
    return _as_one(np.where(waveform == "", clip, waveform), clip, take)


def takes(table: Table) -> np.ndarray:
    """All repetitions of a statement by one actor in one emotion and intensity, and their copies.

    Raises:
      Unserved: it is not known what is said.
    """
    if not (column(table, "statement") > 0).all():
        raise Unserved("needs the statement of every clip, and the metadata do not have it")
    take = _joined(table, ("subject", "emotion", "intensity", "statement"))
    return _as_one(take, waveforms(table))


def subjects(table: Table) -> np.ndarray:
    """A person's everything; people who share a waveform are one."""
    return _as_one(column(table, "subject"), waveforms(table))


def waveforms(table: Table) -> np.ndarray:
    """The `content_id` of each row, or "" for rows without audio: they have none in common."""
    content = column(table, "content_id")
    return np.where(np.char.startswith(content, "silent "), "", content)


def _joined(table: Table, names: tuple[str, ...]) -> np.ndarray:
    columns = [column(table, name).tolist() for name in names]
    return np.array([" ".join(map(str, facts)) for facts in zip(*columns, strict=True)])


def _as_one(names: np.ndarray, *links: np.ndarray) -> np.ndarray:
    """Names in which those that share a link are one, called by the first of them.

    Args:
      names: text [n].
      links: text [n] each; rows of one text belong together, "" links nothing.
    """
    nodes, node = np.unique(names, return_inverse=True)
    edges = [np.empty((2, 0), np.int64)]
    for link in links:
        linked = np.flatnonzero(link != "")
        _, first, member = np.unique(link[linked], return_index=True, return_inverse=True)
        edges.append(np.stack([node[linked], node[linked[first[member]]]]))
    ends = np.concatenate(edges, axis=1)
    graph = sparse.coo_array((np.ones(ends.shape[1]), ends), shape=(len(nodes), len(nodes)))
    _, group = csgraph.connected_components(graph, directed=False)
    _, called = np.unique(group, return_index=True)  # nodes are sorted, so this is the first name
    return nodes[called[group]][node]


# The five folds most used in print for RAVDESS: the actors tested in each.
RAVDESS_FOLDS = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)


def five_folds(table: Table) -> dict[int, list[str]]:
    """Fold -> the subjects tested in it: see protocols.subject_folds.

    Raises:
      Unserved: fewer than two folds have a subject.
    """
    names = np.unique(column(table, "subject")).tolist()
    printed = [[f"actor_{number:02d}" for number in fold] for fold in RAVDESS_FOLDS]
    if set(names) <= {name for fold in printed for name in fold}:
        folds = [[name for name in fold if name in names] for fold in printed]
    else:
        folds = _even_folds(table, names, len(RAVDESS_FOLDS))
    found = {i: fold for i, fold in enumerate(folds) if fold}
    if len(found) < 2:
        raise Unserved(f"needs subjects in two of its folds or more, found {', '.join(names)}")
    return found


def _even_folds(table: Table, names: list[str], count: int) -> list[list[str]]:
    """Subjects dealt in the order of their names; then two of them change places, as long as that
    brings the folds' shares of every emotion closer to each other.

    Which two is the pair that helps most, the first of several. Whole numbers are compared, so that
    the folds are the same on every machine.
    """
    folds = [names[i::count] for i in range(count)]
    if not {"clip", "emotion"} <= set(table):
        return folds
    facts = (np.asarray(table[name]).tolist() for name in ("subject", "emotion", "clip"))
    clips = Counter((subject, emotion) for subject, emotion, _ in set(zip(*facts, strict=True)))
    totals: Counter[str] = Counter()
    for (_, emotion), n in clips.items():
        totals[emotion] += n
    whole = math.lcm(*totals.values())
    share = {s: [clips[s, e] * whole // n for e, n in sorted(totals.items())] for s in names}

    def change(i: int, a: str, j: int, b: str) -> int:
        """By how much the sum of squared shares grows if a of fold i and b of fold j change."""
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
