"""What a network said of its test examples, put together: by clip, by example, by subject.

A clip gives several test examples where images take part. They are one decision: the mean of
their probabilities is what the clip's decision, and every figure per clip, is made from.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mmer_jax import errors
from mmer_jax.corpora import baum1, ravdess
from mmer_jax.results.predictions import Examples


def by_clip(examples: Examples) -> Examples:
    """The clips' decisions: for each clip the mean of its examples' probabilities.

    Args:
      examples: of one network, or of several that are to decide together (see `joined`).

    Returns:
      one example a clip, of view 0, in the order of the clips' first appearance.

    Raises:
      ValueError: a clip has two labels.
    """
    return _averaged(examples, examples.clip, np.zeros_like(examples.view))


def by_example(examples: Examples) -> Examples:
    """The same for (clip, view): one network's examples stay as they are.

    Raises:
      ValueError: an example has two labels.
    """
    keys = [f"{c}/{v}" for c, v in zip(examples.clip.tolist(), examples.view.tolist(), strict=True)]
    return _averaged(examples, np.asarray(keys, np.str_), examples.view)


# What is measured: a name for people -> how examples are put together.
PER: dict[str, Callable[[Examples], Examples]] = {"clip": by_clip, "triplet": by_example}


def _averaged(examples: Examples, keys: np.ndarray, view: np.ndarray) -> Examples:
    _, first, member = np.unique(keys, return_index=True, return_inverse=True)
    # np.unique sorts by name; groups are wanted in the order in which they appear.
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    first, member = first[order], place[member]
    label = examples.label[first]
    if (odd := np.flatnonzero(label[member] != examples.label)).size:
        raise ValueError(f"{examples.clip[odd[0]]} has two labels: nothing to decide")
    sums = np.zeros((len(first), examples.probabilities.shape[1]))
    np.add.at(sums, member, examples.probabilities)
    sizes = np.bincount(member, minlength=len(first))[:, None]
    return Examples(examples.clip[first], view[first], label, sums / sizes)


def joined(parts: Sequence[Examples]) -> Examples:
    """Several examples after one another: the folds of one seed, say.

    Args:
      parts: one or more, with the same classes.
    """
    fields = ("clip", "view", "label", "probabilities")
    return Examples(*(np.concatenate([getattr(p, field) for p in parts]) for field in fields))


def subject_of(dataset: str, clip: str) -> str:
    """Who is seen and heard in a clip, e.g. "actor_07": a clip's name tells.

    Args:
      dataset: its name in records; of "ravdess to baum1_acted" the second, which was tested.
      clip: its name.

    Raises:
      UserError: a data set whose names are not known here, or a clip not called as its clips are.
    """
    tested = dataset.split(" to ")[-1]
    if tested not in _SUBJECT:
        raise errors.unknown("data set", tested, _SUBJECT)
    return _SUBJECT[tested](clip)


_SUBJECT: dict[str, Callable[[str], str]] = {
    "ravdess": lambda clip: ravdess.parse_name(clip).subject,
    **{
        f"baum1_{subset}": lambda clip: baum1.subject_name(baum1.parse_name(clip)[0])
        for subset in baum1.SUBSETS
    },
}


class Units(NamedTuple):
    """What is drawn as a whole when examples are resampled.

    Attributes:
      name: "subject", or "clip" where there is one subject only.
      of: for each test the unit of each of its examples, str [n].
    """

    name: str
    of: tuple[np.ndarray, ...]

    @property
    def count(self) -> int:
        """How many there are in all tests together."""
        return len(np.unique(np.concatenate(self.of)))


def units(tests: Sequence[Examples], dataset: str) -> Units:
    """The subjects of some tests of one data set; its clips, if they are all of one person.

    Examples of one person are alike, so that they are drawn together or not at all. Of one person
    alone nothing can be drawn but clips, and the figures then say nothing about other people.

    Args:
      tests: one or more, of one seed each.
      dataset: its name, for `subject_of`.
    """
    known = {clip: subject_of(dataset, clip) for clip in np.unique(joined(tests).clip).tolist()}
    if len(set(known.values())) < 2:
        return Units("clip", tuple(test.clip for test in tests))
    return Units(
        "subject",
        tuple(np.array([known[c] for c in test.clip.tolist()], np.str_) for test in tests),
    )
