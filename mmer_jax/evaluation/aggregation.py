"""Aggregation of predictions by clip or by example, and the groups that a bootstrap resamples.

Where images are among the inputs, a clip has several test examples. The clip's prediction is the
class with the largest mean probability over its examples; all metrics per clip are computed from
these means.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from mmer_jax import errors
from mmer_jax.corpora import baum1, ravdess
from mmer_jax.results.predictions import Examples


def by_clip(examples: Examples) -> Examples:
    """Returns the mean probabilities of each clip's examples.

    Args:
      examples: Predictions of one network, or of several that form an ensemble (see `concatenate`).

    Returns:
      One example per clip, with view 0, in the order in which the clips first appear.

    Raises:
      ValueError: A clip has two labels.
    """
    return _average(examples, examples.clip, np.zeros_like(examples.view))


def by_example(examples: Examples) -> Examples:
    """Returns the mean probabilities of each (clip, view).

    The predictions of a single network are unchanged.

    Raises:
      ValueError: A (clip, view) has two labels.
    """
    keys = [f"{c}/{v}" for c, v in zip(examples.clip.tolist(), examples.view.tolist(), strict=True)]
    return _average(examples, np.asarray(keys, np.str_), examples.view)


# Name of what is counted, for users -> function that aggregates the examples.
AGGREGATIONS: dict[str, Callable[[Examples], Examples]] = {"clip": by_clip, "triplet": by_example}


def _average(examples: Examples, keys: np.ndarray, view: np.ndarray) -> Examples:
    """Averages the probabilities of examples with equal keys."""
    _, first, member = np.unique(keys, return_index=True, return_inverse=True)
    # np.unique sorts by key; keep the order of first appearance instead.
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    first, member = first[order], rank[member]
    label = examples.label[first]
    if (conflicts := np.flatnonzero(label[member] != examples.label)).size:
        raise ValueError(f"{examples.clip[conflicts[0]]} has two labels: cannot average")
    sums = np.zeros((len(first), examples.probabilities.shape[1]))
    np.add.at(sums, member, examples.probabilities)
    counts = np.bincount(member, minlength=len(first))[:, None]
    return Examples(examples.clip[first], view[first], label, sums / counts)


def concatenate(examples: Sequence[Examples]) -> Examples:
    """Concatenates predictions, for instance those of one seed's folds.

    Args:
      examples: One or more sets of predictions with the same classes.
    """
    fields = ("clip", "view", "label", "probabilities")
    return Examples(*(np.concatenate([getattr(e, field) for e in examples]) for field in fields))


def subject_of(dataset: str, clip: str) -> str:
    """Returns the subject of a clip, such as "actor_07", which its name tells.

    Args:
      dataset: Name of the dataset in records; of "ravdess to baum1_acted" the second is the one
        that was tested.
      clip: Name of the clip.

    Raises:
      UserError: The dataset is unknown, or the clip's name does not follow its conventions.
    """
    tested = dataset.split(" to ")[-1]
    if tested not in _SUBJECT:
        raise errors.unknown("dataset", tested, _SUBJECT)
    return _SUBJECT[tested](clip)


_SUBJECT: dict[str, Callable[[str], str]] = {
    "ravdess": lambda clip: ravdess.parse_name(clip).subject,
    **{
        f"baum1_{subset}": lambda clip: baum1.subject_name(baum1.parse_name(clip)[0])
        for subset in baum1.SUBSETS
    },
}


@dataclasses.dataclass(frozen=True, eq=False)
class Groups:
    """Groups of examples that a bootstrap resamples as a whole.

    Attributes:
      name: "subject", or "clip" if there is only one subject.
      labels: For each test set the group of each example, str [n].
    """

    name: str
    labels: tuple[np.ndarray, ...]

    @property
    def count(self) -> int:
        """Number of distinct groups in all test sets together."""
        return len(np.unique(np.concatenate(self.labels)))


def groups(tests: Sequence[Examples], dataset: str) -> Groups:
    """Groups test examples by subject, or by clip if all of them show one subject.

    Examples of one subject are not independent, so a bootstrap draws all of them or none. With a
    single subject only clips can be drawn, and an interval then says nothing about other people.

    Args:
      tests: One or more test sets, one for each seed.
      dataset: Name of the dataset, as `subject_of` takes it.

    Raises:
      UserError: As `subject_of`.
    """
    subjects = {
        clip: subject_of(dataset, clip) for clip in np.unique(concatenate(tests).clip).tolist()
    }
    if len(set(subjects.values())) < 2:
        return Groups("clip", tuple(test.clip for test in tests))
    return Groups(
        "subject",
        tuple(np.array([subjects[c] for c in test.clip.tolist()], np.str_) for test in tests),
    )
