"""Evaluation protocols: which examples train, which validate, which test.

Every protocol is a function of the metadata table alone. What it promises, in words, is part of it,
and the report prints those words next to every number.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from sklearn import model_selection

from mmer_jax import errors
from mmer_jax.datasets import pack


@dataclasses.dataclass(frozen=True)
class Split:
    """Row numbers into the metadata table, int64, sorted; no row is in two parts."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A way to divide a data set.

    Attributes:
      name: as in configs and records.
      promise: what cannot be on both sides of the split, in words for a reader of results.
      original_sound_at_test: whether a test example pairs its frame with its clip's unaltered sound
        (and a network of sound alone has one test example a clip). False only where the paper's own
        way is reproduced, in which altered versions are drawn into the test part too.
      caveat: title and text of what a reader must know before believing a number.
      unit: table -> for each row the name of the thing that stays on one side.
      test_sets: table -> for each fold the units that are tested; None where they are drawn.
    """

    name: str
    promise: str
    caveat: tuple[str, str]
    original_sound_at_test: bool
    unit: Callable[[Mapping[str, np.ndarray]], np.ndarray]
    test_sets: Callable[[Mapping[str, np.ndarray]], dict[int, list[str]]] | None = None

    def folds(self, table: Mapping[str, np.ndarray]) -> tuple[int, ...]:
        """The folds there are. A random split has one; its seeds repeat it."""
        return tuple(self.test_sets(table)) if self.test_sets else (0,)

    def split(
        self,
        table: Mapping[str, np.ndarray],
        *,
        fold: int,
        seed: int,
        test_fraction: float,
        validation_fraction: float,
    ) -> Split:
        """Divides the rows of a table.

        Units, not rows, are drawn, stratified by emotion: first the test part, unless the protocol
        fixes it, then validation out of the remaining ones. The same seed gives the same split to
        every row of a table of results, so that their networks are tested on the same clips.

        Args:
          table: columns `emotion`, `clip`, `view`, `content_id` of one length.
          fold: one of `folds(table)`.
          seed: drives the draw.
          test_fraction: share of the units for testing, in (0, 1).
          validation_fraction: share of the other units for validation, in [0, 1).

        Raises:
          UserError: a fold that does not exist, or an emotion with too few units for every part.
        """
        if fold not in self.folds(table):
            raise errors.unknown(f"fold of {self.name}", fold, self.folds(table))
        units, first, members = np.unique(self.unit(table), return_index=True, return_inverse=True)
        emotion = np.asarray(table["emotion"])[first]
        if self.test_sets:
            tested = np.isin(units, self.test_sets(table)[fold])
            rest, test = np.flatnonzero(~tested), np.flatnonzero(tested)
            if self.unit is _each_subject:  # who has every emotion: nothing to stratify by
                emotion = np.full(len(units), "any")
        else:
            rest, test = _draw(np.arange(len(units)), emotion, test_fraction, (seed, 0), self.name)
        if validation_fraction:
            train, validation = _draw(rest, emotion, validation_fraction, (seed, 1), self.name)
        else:
            train, validation = rest, rest[:0]
        return Split(
            *(np.flatnonzero(np.isin(members, part)) for part in (train, validation, test))
        )


def _draw(units, emotion, fraction, seed, name):
    """Divides unit numbers into (kept, drawn), stratified by emotion."""
    emotions, counts = np.unique(emotion[units], return_counts=True)
    drawn = round(len(units) * fraction)
    if counts.min() < 2 or drawn < len(emotions) or len(units) - drawn < len(emotions):
        found = ", ".join(f"{e} {c}" for e, c in zip(emotions, counts, strict=True))
        raise errors.UserError(
            f"{name} cannot put every emotion on both sides of a split with {fraction:.0%} of "
            f"{len(units)} units on one side (found {found}). Use more recordings, fewer emotions "
            "or another fraction (--config.split.test_fraction, "
            "--config.split.validation_fraction)."
        )
    state = np.random.default_rng(seed).integers(2**31 - 1)
    kept, taken = model_selection.train_test_split(
        units, test_size=drawn, stratify=emotion[units], random_state=int(state)
    )
    return np.sort(kept), np.sort(taken)


def _each_row(table):
    return np.arange(len(table["clip"]))


def _each_recording(table):
    """Takes whose decoded sound is identical count as one recording."""
    content = np.asarray(table["content_id"])
    return np.where(content == "", table["clip"], content)


def _each_subject(table):
    return np.asarray(table["subject"])


# The five folds most used in print for RAVDESS: the actors tested in each.
RAVDESS_FOLDS = (
    (2, 5, 14, 15, 16),
    (3, 6, 7, 13, 18),
    (10, 11, 12, 19, 20),
    (8, 17, 21, 23, 24),
    (1, 4, 9, 22),
)


def subject_folds(table: Mapping[str, np.ndarray]) -> dict[int, list[str]]:
    """Fold -> the subjects tested in it.

    RAVDESS has the folds most used in print, as far as their actors are there; any other set five
    folds of its subjects, dealt in the order of their names.

    Raises:
      UserError: fewer than two folds have a subject.
    """
    subjects = np.unique(table["subject"]).tolist()
    printed = [[f"actor_{number:02d}" for number in fold] for fold in RAVDESS_FOLDS]
    if set(subjects) <= {name for fold in printed for name in fold}:
        folds = [[name for name in fold if name in subjects] for fold in printed]
    else:
        folds = [subjects[i :: len(RAVDESS_FOLDS)] for i in range(len(RAVDESS_FOLDS))]
    found = {i: fold for i, fold in enumerate(folds) if fold}
    if len(found) < 2:
        raise errors.UserError(
            f"actor_kfold needs subjects in two of its folds or more, found {', '.join(subjects)}; "
            "clip_random and triplet_random can be served"
        )
    return found


def _second_set(table):
    if pack.ROLE not in table:
        raise errors.UserError(
            "cross_dataset needs a second data set to test on: --config.test_data.dataset=NAME, or "
            "a row of configs/cross_dataset.py"
        )
    return {0: np.unique(_each_recording(table)[table[pack.ROLE] == "test"]).tolist()}


PROTOCOLS = {
    p.name: p
    for p in (
        Protocol(
            "triplet_random",
            "Nothing is kept apart: examples are shuffled and divided, as we read the paper. Where "
            "a clip gives three, a tested one almost always (probability 0.96) has another version "
            "of the same clip in training, and the number says how well the network recognises "
            "clips that it has seen. Where a clip is one example, no clip is on both sides.",
            (
                "Test and training share recordings under triplet_random",
                "Examples are shuffled and split without regard to their clip, as we read the "
                "paper. With three examples a clip and a fifth of them for testing, a test example "
                "has a sibling of the same clip in training with probability 1 - 0.2² = 0.96 (with "
                "more a clip, nearly always), so the network can pass by recognising it. "
                "The number is comparable with the paper's and not with a deployment.",
            ),
            original_sound_at_test=False,
            unit=_each_row,
        ),
        Protocol(
            "clip_random",
            "No clip is on both sides: all versions of a recording train or all test. The same "
            "people, sentences and repetitions are on both sides.",
            (
                "Every test speaker is known under clip_random",
                "No clip is on both sides, but the same people speak the same sentences on both. "
                "Nothing here says how a new speaker would be understood.",
            ),
            original_sound_at_test=True,
            unit=_each_recording,
        ),
        Protocol(
            "actor_kfold",
            "No subject is on both sides: everybody who is tested is a stranger to the network. "
            "The sentences are the same on both sides. RAVDESS has the five folds most used in "
            "print; other sets five folds of whole subjects.",
            (
                "Sentences are shared under actor_kfold",
                "No subject is on both sides, but all say the same few sentences before the same "
                "camera: other words, rooms and devices are not tested.",
            ),
            original_sound_at_test=True,
            unit=_each_subject,
            test_sets=subject_folds,
        ),
        Protocol(
            "cross_dataset",
            "Trained on one data set, tested on all of another: no subject, sentence, language, "
            "room or device is on both sides.",
            (
                "Training and test are two data sets under cross_dataset",
                "Everything differs between them: language, actors, pictures, sound, and how "
                "labels came about. A low number does not say which of it is to blame.",
            ),
            original_sound_at_test=True,
            unit=_each_recording,
            test_sets=_second_set,
        ),
    )
}


def get(name: str) -> Protocol:
    """The protocol of that name; an unknown name is a UserError that lists the known ones."""
    if name not in PROTOCOLS:
        raise errors.unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
