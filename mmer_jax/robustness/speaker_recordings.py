"""Tests of transductive networks with statistics from few recordings of the tested speaker.

With `config.input.normalization` at `per_speaker`, a network is tested with statistics of all
recordings of the speaker. Here the statistics of each test clip are computed from n recordings of
its speaker, the clip itself and n - 1 others drawn at random, and the saved parameters predict the
clip. Nothing is trained, and labels are read only to draw recordings of one emotion.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import ml_collections
import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.datasets import pack
from mmer_jax.evaluation import settings
from mmer_jax.inference import workdirs
from mmer_jax.inference.predictor import Predictor
from mmer_jax.protocols import splits
from mmer_jax.results.predictions import Predictions
from mmer_jax.robustness import conditions, measure, speaker_results
from mmer_jax.robustness.speaker_results import ONE_EMOTION, RANDOM, Draw
from mmer_jax.training import checkpoints, normalization
from mmer_jax.training.normalization import Normalization
from mmer_jax.utils.progress import Progress

RECORDINGS = (1, 2, 4, 8, 16)
DRAWS = 5


def run(
    workdir: Path,
    *,
    protocols: Sequence[str] = (),
    rows: Sequence[str] = (),
    recordings: Sequence[int] = RECORDINGS,
    draws: int = DRAWS,
    one_emotion: bool = False,
    pack_folder: Path | None = None,
) -> list[str]:
    """Tests the transductive networks of a workdir; finished measurements are not repeated.

    Args:
      workdir: Workdir of a finished run; results are added to it.
      protocols: Names of evaluation protocols to test; all if empty.
      rows: Names of config rows to test; all if empty.
      recordings: Numbers of recordings, from 1. All recordings of a speaker are always tested too.
      draws: Number of draws for each number of recordings.
      one_emotion: Whether to test recordings of the clip's own emotion as well.
      pack_folder: New location of the pack that the networks were trained from, if it was moved.

    Returns:
      Messages that state what could not be tested, and why; empty if everything was tested.

    Raises:
      UserError: A number is below 1, there is no network to test, or a network does not reproduce
        its stored predictions.
    """
    for number in (*recordings, draws):
        if number < 1:
            raise errors.UserError(
                f"the numbers of recordings and of draws start at 1, not {number}"
            )
    networks = measure.list_networks(workdir, protocols, rows)
    by_row: dict[str, list[dict]] = {}
    for record in networks:
        if settings.setting_of([record["config"]]) == "transductive":
            by_row.setdefault(record["row"], []).append(record)
    if not by_row:
        raise errors.UserError(
            f"{workdir} has no transductive network among the rows "
            f"{', '.join(dict.fromkeys(r['row'] for r in networks))}: inductive ones read nothing "
            "of a tested speaker but the clip (config.input.normalization is not per_speaker)"
        )
    done = {speaker_results.make_key(result) for result in speaker_results.read_results(workdir)}
    problems, count = [], 0
    for row, cells in by_row.items():
        usable = [r for r in cells if workdirs.params_folder(workdir, measure.cell_of(r)).exists()]
        if len(usable) < len(cells):
            problems.append(
                f"{len(cells) - len(usable)} of {len(cells)} cells of row {row} have no "
                "parameters: they are not finished, or ran with --config.run.keep_params=False"
            )
        count += len(usable)
        if usable:
            config = workdirs.load_config(
                usable[-1], {"pack": str(pack_folder)} if pack_folder else {}
            )
            data = workdirs.open_pack(usable[-1], config, workdir)
            wanted = (tuple(sorted(set(recordings))), draws, one_emotion)
            problems += _test_row(workdir, usable, config, data, wanted, done)
    if not count:
        raise errors.UserError(f"{workdir} has no network to test: {'; '.join(problems)}")
    return problems


def _test_row(
    workdir: Path,
    cells: Sequence[dict],
    config: ml_collections.ConfigDict,
    data: pack.Pack,
    wanted: tuple[Sequence[int], int, bool],
    done: set[speaker_results.Key],
) -> list[str]:
    """Tests the cells of one row; returns messages that state what could not be tested."""
    predictor, software, problems = Predictor(config), measure.describe_software(), []
    with Progress(len(cells), cells[0]["row"], "networks") as progress:
        for record in cells:
            cell = measure.cell_of(record)
            subsets = splits.split_cell(cell, config, data)
            try:
                speakers = Speakers.of_cell(config, data, subsets)
            except errors.UserError as error:
                problems.append(f"{cell.name}: {error}")
                continue
            missing = [
                draw
                for draw in speakers.list_draws(*wanted)
                if speaker_results.make_key(record, draw) not in done
            ]
            if missing:
                params = checkpoints.load_params(workdirs.params_folder(workdir, cell))
                test = subsets["test"]

                def predict(norm: Normalization, params=params, test=test) -> Predictions:
                    values = predictor.probabilities(params, data.arrays, test.indices, norm)
                    return Predictions(test.clip, test.view, test.label, values)

                stored = normalization.compute(config, data, subsets)
                measure.check_same(predict(stored), record, workdir)
                for draw in missing:
                    used = speakers.draw(draw)
                    counts = used.sum(axis=1)
                    speaker_results.save(
                        workdir,
                        record,
                        draw,
                        predict(speakers.normalization(used)),
                        {**software, "used": [int(counts.min()), int(counts.max())]},
                    )
            progress.update(1, note=cell.name)
    return problems


@dataclasses.dataclass(frozen=True, eq=False)
class Speakers:
    """The recordings of the tested speakers of a cell, and the sums of their images.

    Attributes:
      tests: str [t], names of the test clips, sorted.
      clips: str [k], names of the recordings of their speakers, sorted; all test clips included.
      speaker: str [k], speaker of each recording.
      emotion: str [k], emotion of each recording.
      sums: Modality -> sums of the images of each recording, in the order of `clips`.
      groups: Modality -> int32 [m], index in `tests` of the clip of each image of the pack; 0 for
        images that are not tested.
    """

    tests: np.ndarray
    clips: np.ndarray
    speaker: np.ndarray
    emotion: np.ndarray
    sums: Mapping[str, normalization.Sums]
    groups: Mapping[str, np.ndarray]

    @classmethod
    def of_cell(
        cls, config: ml_collections.ConfigDict, data: pack.Pack, subsets: splits.Subsets
    ) -> "Speakers":
        """Sums the images that `per_speaker` computes its statistics from, by recording.

        Args:
          config: Config of the cell's row.
          data: The pack.
          subsets: The subsets of the cell.

        Raises:
          UserError: A test clip is not among these recordings.
        """
        table = data.table
        tests = np.unique(subsets["test"].clip)
        tested = np.unique(table["subject"][np.isin(table["clip"], tests)])
        images = {}
        for m in modalities.get(config.modalities):
            index = normalization.list_speaker_images(config, data, subsets, m)
            images[m] = index[np.isin(table["subject"][index], tested)]
        clips, first = np.unique(table["clip"], return_index=True)
        is_used = [np.isin(clips, table["clip"][index]) for index in images.values()]
        kept = np.all(is_used, axis=0)
        clips, first = clips[kept], first[kept]
        if len(lacking := np.setdiff1d(tests, clips)):
            raise errors.UserError(
                f"{len(lacking)} test clips, {lacking[0]} first, are not among the recordings that "
                "the statistics of their speaker are computed from"
            )
        sums = {}
        for m, index in images.items():
            index = index[np.isin(table["clip"][index], clips)]
            group = np.searchsorted(clips, table["clip"][index])
            by_row = m.stream == "audio"
            sums[m.name] = normalization.sum_images(data.arrays[m.name], index, group, by_row)
        position = np.minimum(np.searchsorted(tests, table["clip"]), len(tests) - 1)
        position[tests[position] != table["clip"]] = 0
        groups = dict.fromkeys(sums, position.astype(np.int32))
        return cls(tests, clips, table["subject"][first], table["emotion"][first], sums, groups)

    def list_draws(self, recordings: Sequence[int], draws: int, one_emotion: bool) -> list[Draw]:
        """Lists the draws to test, without those that would give the same recordings.

        Args:
          recordings: Numbers of recordings. Numbers that no speaker exceeds are left out.
          draws: Number of draws for each of them.
          one_emotion: Whether to draw recordings of one emotion as well.

        Returns:
          Draws of each kind; the last one of a kind has all recordings.
        """
        listed = []
        for kind in (RANDOM, ONE_EMOTION)[: 1 + one_emotion]:
            largest = self._eligible(kind).sum(axis=1).max()
            for number in recordings:
                if number == 1 < largest and kind == RANDOM:
                    listed.append(Draw(kind, 1, 0))  # the clip alone
                elif 1 < number < largest:
                    listed += [Draw(kind, number, i) for i in range(draws)]
            listed.append(Draw(kind, None, 0))
        return listed

    def draw(self, draw: Draw) -> np.ndarray:
        """Draws recordings for each test clip: the clip itself and others of its speaker.

        The others depend on the names of the clips alone, so that all networks get the same ones,
        and those of a smaller number are among those of a larger one.

        Args:
          draw: One of `list_draws`.

        Returns:
          bool [t, k], the recordings of each test clip: as many as wanted, or all if there are
          fewer.
        """
        eligible = self._eligible(draw.kind)
        if draw.recordings is None:
            return eligible
        used = np.zeros_like(eligible)
        for i, clip in enumerate(self.tests.tolist()):
            own = np.searchsorted(self.clips, clip)
            others = np.setdiff1d(np.flatnonzero(eligible[i]), own)
            rng = conditions.make_rng(clip, f"{draw.kind} recordings {draw.number}")
            used[i, own] = used[i, rng.permutation(others)[: draw.recordings - 1]] = True
        return used

    def normalization(self, used: np.ndarray) -> Normalization:
        """Returns the normalization whose groups are the test clips.

        Args:
          used: bool [t, k], the recordings that the statistics of each test clip are computed from.
        """
        return Normalization(
            {name: sums.unite(used) for name, sums in self.sums.items()}, self.groups
        )

    def _eligible(self, kind: str) -> np.ndarray:
        """Returns the recordings that may be drawn for each test clip, bool [t, k]."""
        own = np.searchsorted(self.clips, self.tests)
        eligible = self.speaker[own][:, None] == self.speaker
        if kind == ONE_EMOTION:
            eligible &= self.emotion[own][:, None] == self.emotion
        return eligible
