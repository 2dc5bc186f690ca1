"""Evaluation protocols: which examples train, which validate and which test.

A protocol is a function of the metadata table alone. It includes its guarantee in words, which the
report prints next to every number.

Examples of one waveform (`content_id`) are in one subset, except under `triplet_random`. Groups
that share a waveform are drawn as one group. Where the protocol fixes who is tested, a fold leaves
out the examples of other subjects whose waveform is also among its test examples.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from sklearn import model_selection

from mmer_jax import errors
from mmer_jax.datasets import pack
from mmer_jax.protocols import groups
from mmer_jax.protocols.groups import NotApplicable, Table


@dataclasses.dataclass(frozen=True)
class Split:
    """A division of the rows of a metadata table into subsets.

    Attributes:
      train: Indices of the rows to train on, int64 [n_train], ascending.
      validation: Indices of the validation rows, int64 [n_validation], ascending; may be empty.
      test: Indices of the test rows, int64 [n_test], ascending. No index is in two subsets.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A way to split a dataset.

    Attributes:
      name: Name in configs and records.
      guarantee: What cannot be on both sides of the split, in words for a reader of results.
      caveat: Title and text of what a reader must know before believing a number.
      original_audio_at_test: Whether a test example pairs its frame with the original audio of its
        clip, so that an audio-only network has one test example per clip. False only where the
        paper's own procedure is reproduced, which tests altered versions of the audio too.
      group: Function of a table that returns the group of each row, [n] (see protocols.groups). A
        group is drawn as a whole and is never in both training and validation.
      stratify_by: Name of the column whose distribution is kept equal on both sides of a draw, as
        far as possible.
      test_masks: Function of a table that returns fold number -> test mask, bool [n]; None for a
        protocol that draws the test groups at random.
    """

    name: str
    guarantee: str
    caveat: tuple[str, str]
    original_audio_at_test: bool
    group: Callable[[Table], np.ndarray]
    stratify_by: str = "emotion"
    test_masks: Callable[[Table], dict[int, np.ndarray]] | None = None

    def folds(self, table: Table) -> tuple[int, ...]:
        """Returns the fold numbers of this protocol.

        Protocols that split at random have a single fold, 0; repeat them with different seeds
        instead.

        Args:
          table: Metadata columns, each an array [n].

        Raises:
          UserError: The protocol does not apply to this table; the message names those that do.
        """
        with _suggest_protocols(self.name, table):
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
        """Splits the rows of a table.

        Groups are drawn at random: first the test groups, unless the protocol fixes them, then the
        validation groups out of the rest. With one seed, all config rows that use the same clips
        get the same split, so that their networks are tested on the same clips.

        Args:
          table: Metadata columns, each an array [n]: `clip`, `subject`, `emotion`, `content_id`,
            and those that define the protocol's groups.
          fold: One of `folds(table)`.
          seed: Seed of the draw.
          test_fraction: Fraction of the groups for testing, in (0, 1). Not used if the protocol
            fixes the test groups.
          validation_fraction: Fraction of the remaining groups for validation, in [0, 1).

        Returns:
          The indices of the rows in each subset.

        Raises:
          UserError: The protocol does not apply to this table, the table has no such fold, or the
            split would leave an emotion without an example to train on or to test. A subject who is
            tested alone need not have all emotions.
        """
        with _suggest_protocols(self.name, table, test_fraction, validation_fraction):
            return self._split(table, fold, seed, test_fraction, validation_fraction)

    def _folds(self, table: Table) -> tuple[int, ...]:
        return tuple(self.test_masks(table)) if self.test_masks else (0,)

    def _split(self, table, fold, seed, test_fraction, validation_fraction) -> Split:
        if fold not in (known := self._folds(table)):
            if not self.test_masks:
                raise errors.unknown(f"fold of {self.name}", fold, known)
            subjects = len(np.unique(groups.column(table, "subject")))
            raise NotApplicable(
                f"has no fold {fold} here: its folds are {', '.join(map(str, known))}, from "
                f"{subjects} participating subjects"
            )
        if self.test_masks:
            test = self.test_masks(table)[fold]
            content = groups.content_ids(table)
            rest = ~test & ~np.isin(content, np.setdiff1d(content[test], [""]))
        else:
            test = self._draw(table, np.full(len(table["clip"]), True), test_fraction, (seed, 0))
            rest = ~test
        validation = np.full(len(rest), False)
        if validation_fraction:
            validation = self._draw(table, rest, validation_fraction, (seed, 1))
        train = rest & ~validation
        _check_emotions(table, train, test)
        return Split(*(np.flatnonzero(mask) for mask in (train, validation, test)))

    def _draw(self, table, among: np.ndarray, fraction: float, seed) -> np.ndarray:
        """Draws whole groups at random.

        Args:
          table: Metadata columns, each an array [n].
          among: bool [n], the rows whose groups are drawn from.
          fraction: Fraction of these groups to draw.
          seed: Seed of np.random.default_rng.

        Returns:
          bool [n], the rows of `among` whose groups were drawn.

        Raises:
          NotApplicable: The groups cannot be stratified.
        """
        group, emotion = self.group(table), groups.column(table, "emotion")
        names, first = np.unique(group[among], return_index=True)
        count = round(len(names) * fraction)

        def can_stratify(stratum: np.ndarray) -> bool:
            sizes = np.unique(stratum, return_counts=True)[1]
            return min(sizes, default=0) > 1 and len(sizes) <= min(count, len(names) - count)

        stratum = np.asarray(table.get(self.stratify_by, group))[among][first]
        if self.stratify_by == "gender" and not can_stratify(stratum):
            stratum = np.full(len(names), "subject")
        if not can_stratify(stratum):
            strata, sizes = np.unique(stratum, return_counts=True)
            found = ", ".join(f"{k} {n}" for k, n in zip(strata, sizes, strict=True))
            raise NotApplicable(
                f"cannot take {fraction:.0%} of its groups (found {found}) and leave some of each "
                "kind on both sides: use more recordings, fewer emotions or another fraction "
                "(--config.split.test_fraction, --config.split.validation_fraction)"
            )
        rng = np.random.default_rng(seed)
        for _ in range(_ATTEMPTS):
            _, taken = model_selection.train_test_split(
                names, test_size=count, stratify=stratum, random_state=int(rng.integers(2**31 - 1))
            )
            drawn = among & np.isin(group, taken)
            if len(np.unique(emotion[among & ~drawn])) == len(np.unique(emotion[among])):
                break
        return drawn


def _check_emotions(table: Table, train: np.ndarray, test: np.ndarray) -> None:
    emotion, subject = (groups.column(table, name) for name in ("emotion", "subject"))
    tested = np.unique(subject[test])
    is_single = len(tested) == 1 and tested[0] not in subject[train]
    for purpose, mask in (("train on", train), ("test", test)):
        missing = np.setdiff1d(emotion, emotion[mask])
        if len(missing) and not (is_single and mask is test):
            raise NotApplicable(f"leaves no example of {', '.join(missing)} to {purpose}")


# Number of draws that are tried until all emotions remain to train on. Subjects have several
# emotions each, so that stratification alone does not ensure it.
_ATTEMPTS = 100


def applicable(
    table: Table, test_fraction: float = 0.2, validation_fraction: float = 0.0
) -> list[str]:
    """Returns the names of the protocols that can split a table in all of their folds.

    Args:
      table: Metadata columns, each an array [n]. Without the column `clip` no protocol applies.
      test_fraction: Fraction of the groups for testing, in (0, 1).
      validation_fraction: Fraction of the remaining groups for validation, in [0, 1).
    """
    if "clip" not in table:
        return []
    _, first = np.unique(table["clip"], return_index=True)
    clips = {name: np.asarray(column)[first] for name, column in table.items()}
    names = []
    for protocol in PROTOCOLS.values():
        if (protocol.name == "cross_dataset") != (pack.ROLE in table):
            continue
        # One example per clip suffices, unless the protocol draws single examples.
        examples = table if protocol.group is groups.single_examples else clips
        with contextlib.suppress(NotApplicable):
            for fold in protocol._folds(examples):
                protocol._split(examples, fold, 0, test_fraction, validation_fraction)
            names.append(protocol.name)
    return names


@contextlib.contextmanager
def _suggest_protocols(name: str, table: Table, *fractions: float) -> Iterator[None]:
    """Converts NotApplicable into a UserError that names the protocols that apply."""
    try:
        yield
    except NotApplicable as reason:
        others = ", ".join(applicable(table, *fractions)) or "none"
        raise errors.UserError(f"{name} {reason}. Protocols that apply: {others}") from None


def subject_folds(table: Table) -> dict[int, list[str]]:
    """Returns the subjects that are tested in each fold of actor_kfold.

    RAVDESS has the folds most used in print, restricted to the actors of the table. Any other
    dataset has five folds of its subjects, with about as many clips of every emotion in each. The
    folds depend only on the names of the subjects and on the number of clips of each subject and
    emotion: not on a seed, a modality or the number of examples of a clip. Datasets that are built
    from the same recordings therefore have the same folds, whatever the builder config, unless a
    build had to skip clips.

    Args:
      table: Metadata columns, each an array [n]: `subject` and, to balance emotions, `clip` and
        `emotion`. Without these two, subjects are assigned to the folds in turn, in the order of
        their names (not in RAVDESS).

    Returns:
      Fold number -> names of the subjects that are tested in the fold; folds without a subject are
      left out.

    Raises:
      UserError: Fewer than two folds have a subject.
    """
    with _suggest_protocols("actor_kfold", table):
        return groups.five_folds(table)


def _test_subject_folds(table: Table) -> dict[int, np.ndarray]:
    folds = groups.five_folds(table)
    return {fold: np.isin(table["subject"], names) for fold, names in folds.items()}


def _test_each_subject(table: Table) -> dict[int, np.ndarray]:
    subject = groups.column(table, "subject")
    names = np.unique(subject)
    if len(names) < 2:
        raise NotApplicable(f"needs two subjects or more, found {', '.join(names)}")
    return {fold: subject == name for fold, name in enumerate(names)}


def _test_each_statement(table: Table) -> dict[int, np.ndarray]:
    statement = groups.column(table, "statement")
    statements = np.unique(statement).tolist()
    if statements != [1, 2]:
        found = ", ".join(map(str, statements)) if any(statements) else "none"
        raise NotApplicable(f"needs clips of the statements 1 and 2, found {found}")
    return {0: statement == 1, 1: statement == 2}


def _test_second_dataset(table: Table) -> dict[int, np.ndarray]:
    if pack.ROLE not in table:
        raise NotApplicable(
            "needs a second dataset to test on (--config.test_data.dataset=NAME, or a row of "
            "configs/cross_dataset.py)"
        )
    return {0: table[pack.ROLE] == "test"}


PROTOCOLS: dict[str, Protocol] = {}


def register(protocol: Protocol) -> Protocol:
    """Registers a protocol under its name.

    Returns:
      The protocol.

    Raises:
      ValueError: Another protocol has the name.
    """
    if PROTOCOLS.get(protocol.name, protocol) != protocol:
        raise ValueError(f"the protocol name {protocol.name!r} is taken")
    PROTOCOLS[protocol.name] = protocol
    return protocol


def get(name: str) -> Protocol:
    """Returns the protocol with the given name.

    Raises:
      UserError: The name is unknown; the message lists the known names.
    """
    if name not in PROTOCOLS:
        raise errors.unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


register(
    Protocol(
        "triplet_random",
        "Nothing is kept apart: examples are shuffled and split, our reading of the paper. Where a "
        "clip has three examples, a test example almost always (probability 0.96) has another "
        "version of the same clip in training, and the number shows how well the network "
        "recognizes clips that it has seen. Where a clip has one example, no clip is on both "
        "sides.",
        (
            "Test and training share recordings under triplet_random",
            "Examples are shuffled and split without regard to their clip, our reading of the "
            "paper. With three examples per clip and a fifth of them for testing, a test example "
            "has a sibling of the same clip in training with probability 1 - 0.2² = 0.96 (with "
            "more per clip, nearly always), so the network can succeed by recognizing it. The "
            "number is comparable with the paper's and not with a deployment.",
        ),
        original_audio_at_test=False,
        group=groups.single_examples,
    )
)
_CLIP_RANDOM = register(
    Protocol(
        "clip_random",
        "No clip is on both sides: all versions of a recording train or all test, and so do "
        "recordings of identical audio. The same speakers, sentences and repetitions are on both "
        "sides.",
        (
            "Every test speaker is known under clip_random",
            "No clip is on both sides, but the same speakers say the same sentences on both. The "
            "number says nothing about unseen speakers.",
        ),
        original_audio_at_test=True,
        group=groups.recordings,
    )
)
# Two things change from triplet_random, the paper's split, to clip_random: clips are kept apart,
# and only original audio is tested. This protocol changes only the first.
register(
    dataclasses.replace(
        _CLIP_RANDOM,
        name="clip_random_altered_sound",
        guarantee="No clip is on both sides: the split is that of clip_random, seed by seed. The "
        "test clips are tested in all versions of their audio, altered ones too, as in the paper.",
        caveat=(
            "Altered audio is tested under clip_random_altered_sound",
            "Clips are kept apart as under clip_random, but altered versions of a test clip's "
            "audio are tested as well. The number is meant to be read beside those of "
            "triplet_random and clip_random.",
        ),
        original_audio_at_test=False,
    )
)
register(
    Protocol(
        "take_grouped",
        "No take is on both sides: a sentence by one actor in one emotion and intensity, both "
        "repetitions, trains or tests as a whole. The same speakers and sentences are on both "
        "sides.",
        (
            "Every test speaker is known under take_grouped",
            "The two repetitions of a take are on one side, but the same speakers say the same "
            "sentences on both, in other emotions or at another intensity. The number says nothing "
            "about unseen speakers.",
        ),
        original_audio_at_test=True,
        group=groups.takes,
    )
)
register(
    Protocol(
        "actor_kfold",
        "No subject is on both sides: the cross-validation is speaker-independent, every test "
        "speaker is unseen. The sentences are the same on both sides. RAVDESS has the five folds "
        "most used in print; other datasets have five folds of whole subjects with similar "
        "distributions of emotions.",
        (
            "Sentences are shared under actor_kfold",
            "No subject is on both sides, but all say the same few sentences before the same "
            "camera: other words, rooms and devices are not tested.",
        ),
        original_audio_at_test=True,
        group=groups.subjects,
        stratify_by="gender",
        test_masks=_test_subject_folds,
    )
)
register(
    Protocol(
        "leave_one_actor_out",
        "No subject is on both sides: each in turn is the unseen test speaker of a network that "
        "all others train. The sentences are the same on both sides.",
        (
            "Each fold is one speaker under leave_one_actor_out",
            "The number of a fold shows how well one unseen speaker is classified, and speakers "
            "differ much: read all folds together. A speaker without recordings of some emotion is "
            "tested on the others. All say the same few sentences before the same camera.",
        ),
        original_audio_at_test=True,
        group=groups.subjects,
        stratify_by="gender",
        test_masks=_test_each_subject,
    )
)
register(
    Protocol(
        "statement_disjoint",
        "No sentence is on both sides: trained on one of the two and tested on the other, in two "
        "folds. The same speakers are on both sides.",
        (
            "Every test speaker is known under statement_disjoint",
            "The test sentence does not occur in training, but the same speakers said both in the "
            "same room. A fold trains on half of the clips at most, less than under the other "
            "protocols.",
        ),
        original_audio_at_test=True,
        group=groups.takes,
        test_masks=_test_each_statement,
    )
)
register(
    Protocol(
        "cross_dataset",
        "Trained on one dataset and tested on all of another: no subject, sentence, language, room "
        "or device is on both sides.",
        (
            "Training and test are two datasets under cross_dataset",
            "Everything differs between them: language, actors, images, audio, and how labels were "
            "made. A low number does not tell which of these is the cause.",
        ),
        original_audio_at_test=True,
        group=groups.recordings,
        test_masks=_test_second_dataset,
    )
)


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
