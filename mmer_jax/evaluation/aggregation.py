"""Aggregation of predictions by clip or by example, and groups of examples for intervals.

If images are among the inputs, a clip has several test examples. The prediction for a clip is the
class with the largest mean probability over its examples; all metrics per clip are computed from
these means.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from mmer_jax import errors
from mmer_jax.corpora import baum1, ravdess
from mmer_jax.results.predictions import Predictions


def by_clip(predictions: Predictions) -> Predictions:
    """Averages the predictions for all examples of the same clip.

    Args:
      predictions: Predictions of one network, or of several that form an ensemble (see
        `concatenate`).

    Returns:
      Mean probabilities: one example per clip, with view 0, in the order in which the clips first
      appear.

    Raises:
      ValueError: A clip has two labels.
    """
    return _average(predictions, predictions.clip, np.zeros_like(predictions.view))


def by_example(predictions: Predictions) -> Predictions:
    """Averages the predictions of several networks for the same example.

    Examples are the same if their (clip, view) are equal. With one network this is the identity.

    Args:
      predictions: Predictions of one network, or of several that form an ensemble (see
        `concatenate`).

    Returns:
      Mean probabilities: one example per (clip, view), in the order in which these first appear.

    Raises:
      ValueError: A (clip, view) has two labels.
    """
    clips, views = predictions.clip.tolist(), predictions.view.tolist()
    keys = [f"{clip}/{view}" for clip, view in zip(clips, views, strict=True)]
    return _average(predictions, np.asarray(keys, np.str_), predictions.view)


# Unit of evaluation as named for users -> aggregation function; a triplet is one example.
AGGREGATIONS: dict[str, Callable[[Predictions], Predictions]] = {
    "clip": by_clip,
    "triplet": by_example,
}


def _average(predictions: Predictions, keys: np.ndarray, view: np.ndarray) -> Predictions:
    """Averages the probabilities of examples with equal keys.

    Args:
      predictions: Predictions for n examples.
      keys: str [n].
      view: int [n], views of the result: that of the first example with each key is used.
    """
    _, first, member = np.unique(keys, return_index=True, return_inverse=True)
    # np.unique sorts by key; keep the order of first appearance instead.
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    first, member = first[order], rank[member]
    label = predictions.label[first]
    if (conflicts := np.flatnonzero(label[member] != predictions.label)).size:
        raise ValueError(f"{predictions.clip[conflicts[0]]} has two labels: cannot average")
    sums = np.zeros((len(first), predictions.probabilities.shape[1]))
    np.add.at(sums, member, predictions.probabilities)
    counts = np.bincount(member, minlength=len(first))[:, None]
    return Predictions(predictions.clip[first], view[first], label, sums / counts)


def concatenate(predictions: Sequence[Predictions]) -> Predictions:
    """Concatenates predictions, for instance those of all folds of one seed.

    Args:
      predictions: One or more sets of predictions for the same classes.
    """
    fields = ("clip", "view", "label", "probabilities")
    return Predictions(
        *(np.concatenate([getattr(p, field) for p in predictions]) for field in fields)
    )


def subject_of(dataset: str, clip: str) -> str:
    """Returns the subject ID encoded in a clip name, such as "actor_07".

    Args:
      dataset: Dataset name as stored in records. For "A to B" (trained on A, tested on B) the
        naming convention of B applies.
      clip: Name of the clip.

    Raises:
      UserError: The dataset is unknown, or the clip name does not follow the naming convention of
        the dataset.
    """
    tested = dataset.split(" to ")[-1]
    if tested not in _SUBJECT:
        raise errors.unknown("dataset", tested, _SUBJECT)
    return _SUBJECT[tested](clip)


# Dataset name -> function of a clip name that returns the subject ID.
_SUBJECT: dict[str, Callable[[str], str]] = {
    "ravdess": lambda clip: ravdess.parse_name(clip).subject,
    **{
        f"baum1_{subset}": lambda clip: baum1.subject_name(baum1.parse_name(clip)[0])
        for subset in baum1.SUBSETS
    },
}


@dataclasses.dataclass(frozen=True, eq=False)
class Groups:
    """Groups of examples that are not independent: intervals leave out one group at a time.

    Attributes:
      name: "subject", or "clip" if there is only one subject.
      labels: One array per test set: group label of each example, str [n].
    """

    name: str
    labels: tuple[np.ndarray, ...]

    @property
    def count(self) -> int:
        """Number of distinct groups in all test sets together."""
        return len(np.unique(np.concatenate(self.labels)))

    def __str__(self) -> str:
        """Formats the number of groups, as in "18 subjects"."""
        return f"{self.count} {self.name}{'s' * (self.count != 1)}"


def groups(tests: Sequence[Predictions], dataset: str) -> Groups:
    """Groups test examples by subject, or by clip if there is only one subject.

    Examples of one subject are not independent. With a single subject only clips can be left out,
    and an interval then says nothing about other people.

    Args:
      tests: One or more test sets, one per seed.
      dataset: Dataset name as stored in records (see `subject_of`).

    Raises:
      UserError: If a subject cannot be determined (see `subject_of`).
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
