"""Evaluation protocols: which examples train, which validate, which test.

Every protocol is a function of the metadata table alone. What it promises, in words, is part of it,
and the report prints those words next to every number.

Examples of one waveform (`content_id`) are on one side everywhere but under `triplet_random`. Units
that share a waveform are drawn as one. Where it is fixed who is tested, examples of others whose audio
is tested as well take no part in that fold.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from sklearn import model_selection

from mmer_jax import errors
from mmer_jax.datasets import pack
from mmer_jax.protocols import groups
from mmer_jax.protocols.groups import Table, Unserved


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
      original_audio_at_test: whether a test example pairs its frame with its clip's unaltered audio
        (and a network of audio alone has one test example a clip). False only where the paper's own
        way is reproduced, in which altered versions are drawn into the test part too.
      caveat: title and text of what a reader must know before believing a number.
      unit: table -> for each row the name of what is drawn as one. It never is in both training and
        validation.
      even: the column of which both sides of a draw get the same mixture, as far as it goes.
      tests: table -> for each fold which rows are tested, bool [n]; None where units are drawn.
    """

    name: str
    promise: str
    caveat: tuple[str, str]
    original_audio_at_test: bool
    unit: Callable[[Table], np.ndarray]
    even: str = "emotion"
    tests: Callable[[Table], dict[int, np.ndarray]] | None = None

    def folds(self, table: Table) -> tuple[int, ...]:
        """The folds there are. A random split has one; its seeds repeat it.

        Raises:
          UserError: the table cannot be divided in this way.
        """
        with _served_instead(self.name, table):
            return self._folds(table)

    def split(
        self,
        table: Table,
        *,
        fold: int,
        seed: int,
        test_fraction: float,
        validation_fraction: float,
    ) -> Split:
        """Divides the rows of a table.

        Units, not rows, are drawn: first the test part, unless the protocol fixes it, then
        validation out of the remaining ones. The same seed gives the same split to every row of a
        table of results, so that their networks are tested on the same clips.

        Args:
          table: columns of a pack's table, of one length: `clip`, `emotion`, `content_id`, and
            what the protocol keeps apart.
          fold: one of `folds(table)`.
          seed: drives the draw.
          test_fraction: share of the units for testing, in (0, 1).
          validation_fraction: share of the other units for validation, in [0, 1).

        Raises:
          UserError: the table cannot be divided in this way, has no such fold, or an emotion would
            lack examples to train on or to test. A subject who is tested alone need not have all.
        """
        with _served_instead(self.name, table, test_fraction, validation_fraction):
            return self._split(table, fold, seed, test_fraction, validation_fraction)

    def _folds(self, table: Table) -> tuple[int, ...]:
        return tuple(self.tests(table)) if self.tests else (0,)

    def _split(self, table, fold, seed, test_fraction, validation_fraction) -> Split:
        if fold not in (known := self._folds(table)):
            if not self.tests:
                raise errors.unknown(f"fold of {self.name}", fold, known)
            people = len(np.unique(groups.column(table, "subject")))
            raise Unserved(
                f"has no fold {fold} here: its folds are {', '.join(map(str, known))}, from "
                f"{people} subjects that take part"
            )
        if self.tests:
            test = self.tests(table)[fold]
            waveform = groups.waveforms(table)
            rest = ~test & ~np.isin(waveform, np.setdiff1d(waveform[test], [""]))
        else:
            test = self._draw(table, np.full(len(table["clip"]), True), test_fraction, (seed, 0))
            rest = ~test
        validation = np.full(len(rest), False)
        if validation_fraction:
            validation = self._draw(table, rest, validation_fraction, (seed, 1))
        train = rest & ~validation
        _check_emotions(table, train, test)
        return Split(*(np.flatnonzero(part) for part in (train, validation, test)))

    def _draw(self, table, among: np.ndarray, fraction: float, seed) -> np.ndarray:
        """Which rows are drawn out of `among`, bool [n]: whole units."""
        unit, emotion = self.unit(table), groups.column(table, "emotion")
        names, first = np.unique(unit[among], return_index=True)
        drawn = round(len(names) * fraction)

        def can_be_even(kind: np.ndarray) -> bool:
            counts = np.unique(kind, return_counts=True)[1]
            return min(counts, default=0) > 1 and len(counts) <= min(drawn, len(names) - drawn)

        kind = np.asarray(table.get(self.even, unit))[among][first]
        if self.even == "gender" and not can_be_even(kind):
            kind = np.full(len(names), "subject")
        if not can_be_even(kind):
            kinds, counts = np.unique(kind, return_counts=True)
            present = ", ".join(f"{k} {n}" for k, n in zip(kinds, counts, strict=True))
            raise Unserved(
                f"cannot take {fraction:.0%} of its units (found {present}) and leave some of each "
                "kind on both sides: use more recordings, fewer emotions or another fraction "
                "(--config.split.test_fraction, --config.split.validation_fraction)"
            )
        rng = np.random.default_rng(seed)
        for _ in range(_ATTEMPTS):
            _, taken = model_selection.train_test_split(
                names, test_size=drawn, stratify=kind, random_state=int(rng.integers(2**31 - 1))
            )
            found = among & np.isin(unit, taken)
            if len(np.unique(emotion[among & ~found])) == len(np.unique(emotion[among])):
                break
        return found


def _check_emotions(table: Table, train: np.ndarray, test: np.ndarray) -> None:
    emotion, subject = (groups.column(table, name) for name in ("emotion", "subject"))
    tested = np.unique(subject[test])
    alone = len(tested) == 1 and tested[0] not in subject[train]
    for purpose, rows in (("train on", train), ("test", test)):
        missing = np.setdiff1d(emotion, emotion[rows])
        if len(missing) and not (alone and rows is test):
            raise Unserved(f"leaves no example of {', '.join(missing)} to {purpose}")


# Subjects have several emotions each: they are drawn until training keeps all, or this often.
_ATTEMPTS = 100


def served(table: Table, test_fraction: float = 0.2, validation_fraction: float = 0.0) -> list[str]:
    """The names of the protocols that can divide a table, in all of their folds."""
    if "clip" not in table:
        return []
    _, first = np.unique(table["clip"], return_index=True)
    clips = {name: np.asarray(column)[first] for name, column in table.items()}
    found = []
    for protocol in PROTOCOLS.values():
        if (protocol.name == "cross_dataset") != (pack.ROLE in table):
            continue
        rows = table if protocol.unit is groups.rows else clips  # else a clip is as good
        with contextlib.suppress(Unserved):
            for fold in protocol._folds(rows):
                protocol._split(rows, fold, 0, test_fraction, validation_fraction)
            found.append(protocol.name)
    return found


@contextlib.contextmanager
def _served_instead(name: str, table: Table, *fractions: float) -> Iterator[None]:
    """Makes what a protocol lacks an error for people, with the protocols that lack nothing."""
    try:
        yield
    except Unserved as lacking:
        others = ", ".join(served(table, *fractions)) or "none"
        raise errors.UserError(f"{name} {lacking}. Can be served: {others}") from None


def subject_folds(table: Table) -> dict[int, list[str]]:
    """Fold -> the subjects tested in it, under actor_kfold.

    RAVDESS has the folds most used in print, as far as their actors are there. Any other set has
    five folds of its subjects with about as many clips of every emotion in each. These depend on
    the names of the subjects and on how many clips of each emotion each of them has among those
    that take part, and on nothing else: not on a seed, a modality, or how many rows a clip has. So
    the builder configs of one set agree, as long as the same clips could be used.

    Args:
      table: columns `subject`, `clip`, `emotion`; with `subject` alone people are dealt in the
        order of their names.

    Raises:
      UserError: fewer than two folds have a subject.
    """
    with _served_instead("actor_kfold", table):
        return groups.five_folds(table)


def _tests_of_subjects(table: Table) -> dict[int, np.ndarray]:
    folds = groups.five_folds(table)
    return {fold: np.isin(table["subject"], names) for fold, names in folds.items()}


def _tests_of_each_subject(table: Table) -> dict[int, np.ndarray]:
    subject = groups.column(table, "subject")
    names = np.unique(subject)
    if len(names) < 2:
        raise Unserved(f"needs two subjects or more, found {', '.join(names)}")
    return {fold: subject == name for fold, name in enumerate(names)}


def _tests_of_statements(table: Table) -> dict[int, np.ndarray]:
    statement = groups.column(table, "statement")
    found = np.unique(statement).tolist()
    if found != [1, 2]:
        said = ", ".join(map(str, found)) if any(found) else "none"
        raise Unserved(f"needs clips of the statements 1 and 2, found {said}")
    return {0: statement == 1, 1: statement == 2}


def _tests_of_second_set(table: Table) -> dict[int, np.ndarray]:
    if pack.ROLE not in table:
        raise Unserved(
            "needs a second data set to test on (--config.test_data.dataset=NAME, or a row of "
            "configs/cross_dataset.py)"
        )
    return {0: table[pack.ROLE] == "test"}


_CLIP_RANDOM = Protocol(
    "clip_random",
    "No clip is on both sides: all versions of a recording train or all test, and so do "
    "recordings of identical audio. The same people, sentences and repetitions are on both "
    "sides.",
    (
        "Every test speaker is known under clip_random",
        "No clip is on both sides, but the same people speak the same sentences on both. "
        "Nothing here says how a new speaker would be understood.",
    ),
    original_audio_at_test=True,
    unit=groups.recordings,
)

PROTOCOLS = {
    p.name: p
    for p in (
        Protocol(
            "triplet_random",
            "Nothing is kept apart: examples are shuffled and divided, as we read the paper. Where "
            "a clip gives three, a tested one almost always (probability 0.96) has another version "
            "of the same clip in training, and the number says how well the network recognizes "
            "clips that it has seen. Where a clip is one example, no clip is on both sides.",
            (
                "Test and training share recordings under triplet_random",
                "Examples are shuffled and split without regard to their clip, as we read the "
                "paper. With three examples a clip and a fifth of them for testing, a test example "
                "has a sibling of the same clip in training with probability 1 - 0.2² = 0.96 (with "
                "more a clip, nearly always), so the network can pass by recognizing it. "
                "The number is comparable with the paper's and not with a deployment.",
            ),
            original_audio_at_test=False,
            unit=groups.rows,
        ),
        _CLIP_RANDOM,
        # Between the paper's split and clip_random lie two things; this one has the first alone.
        dataclasses.replace(
            _CLIP_RANDOM,
            name="clip_random_altered_sound",
            promise="No clip is on both sides: the split is that of clip_random, seed by seed. The "
            "tested clips are heard in all versions of their audio, altered ones too, as the "
            "paper's are.",
            caveat=(
                "Altered audio is tested under clip_random_altered_sound",
                "Clips are kept apart as under clip_random, but altered versions of a tested "
                "clip's audio are tested as well. The number is there to be set beside those of "
                "triplet_random and clip_random.",
            ),
            original_audio_at_test=False,
        ),
        Protocol(
            "take_grouped",
            "No take is on both sides: a sentence by one actor in one emotion and intensity, both "
            "repetitions, trains or tests as a whole. The same people and sentences are on both "
            "sides.",
            (
                "Every test speaker is known under take_grouped",
                "The two repetitions of a take are on one side, but the same people speak the same "
                "sentences on both, in other emotions or at another intensity. Nothing here says "
                "how a new speaker would be understood.",
            ),
            original_audio_at_test=True,
            unit=groups.takes,
        ),
        Protocol(
            "actor_kfold",
            "No subject is on both sides: everybody who is tested is a stranger to the network. "
            "The sentences are the same on both sides. RAVDESS has the five folds most used in "
            "print; other sets five folds of whole subjects, alike in emotions as far as it goes.",
            (
                "Sentences are shared under actor_kfold",
                "No subject is on both sides, but all say the same few sentences before the same "
                "camera: other words, rooms and devices are not tested.",
            ),
            original_audio_at_test=True,
            unit=groups.subjects,
            even="gender",
            tests=_tests_of_subjects,
        ),
        Protocol(
            "leave_one_actor_out",
            "No subject is on both sides: each in turn is tested as a stranger to the network, "
            "which all others train. The sentences are the same on both sides.",
            (
                "Each fold is one person under leave_one_actor_out",
                "A fold's number says how well that person is understood by a network that never "
                "met them, and people differ much: read all folds together. Whoever has no "
                "recording of some emotion is tested on the others. All say the same few sentences "
                "before the same camera.",
            ),
            original_audio_at_test=True,
            unit=groups.subjects,
            even="gender",
            tests=_tests_of_each_subject,
        ),
        Protocol(
            "statement_disjoint",
            "No sentence is on both sides: trained on one of the two, tested on the other, in two "
            "folds. The same people are on both sides.",
            (
                "Every test speaker is known under statement_disjoint",
                "The sentence that is tested was never heard in training, but the same people said "
                "both in the same room. A fold trains on half of the clips at most, less than "
                "under the other protocols.",
            ),
            original_audio_at_test=True,
            unit=groups.takes,
            tests=_tests_of_statements,
        ),
        Protocol(
            "cross_dataset",
            "Trained on one data set, tested on all of another: no subject, sentence, language, "
            "room or device is on both sides.",
            (
                "Training and test are two data sets under cross_dataset",
                "Everything differs between them: language, actors, images, audio, and how "
                "labels came about. A low number does not say which of it is to blame.",
            ),
            original_audio_at_test=True,
            unit=groups.recordings,
            tests=_tests_of_second_set,
        ),
    )
}


def get(name: str) -> Protocol:
    """The protocol of that name; an unknown name is a UserError that lists the known ones."""
    if name not in PROTOCOLS:
        raise errors.unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


# The leakage ladder: from everything shared between training and test to unseen speakers.
LADDER = (
    "triplet_random",
    "clip_random_altered_sound",
    "clip_random",
    "take_grouped",
    "statement_disjoint",
    "actor_kfold",
    "leave_one_actor_out",
)
