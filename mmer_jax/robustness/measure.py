"""A workdir's networks, tested again under conditions that they were not trained for.

Nothing is trained. Each cell's kept parameters first predict their own test examples untouched, and
must say what the cell's predictions say; then with each corruption at each level. What is there is
not measured again.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import pack, selection
from mmer_jax.inference import workdirs
from mmer_jax.media import corruptions
from mmer_jax.results import predictions, records
from mmer_jax.results.predictions import Examples
from mmer_jax.robustness import conditions, noisy_audio, results
from mmer_jax.robustness.conditions import MISSING, UNTOUCHED, Condition
from mmer_jax.training import checkpoints, normalization, sharding
from mmer_jax.utils import provenance
from mmer_jax.utils.progress import Progress

# How far probabilities may be from the stored ones: on the device that made them, and on another,
# whose convolutions may round to fewer digits.
TOLERANCE, TOLERANCE_ELSEWHERE = 1e-4, 2e-2


def run(
    workdir: Path,
    *,
    protocols: Sequence[str] = (),
    rows: Sequence[str] = (),
    wanted: Iterable[str] = conditions.NAMES,
    levels: Mapping[str, Sequence[float]] | None = None,
    pack_folder: Path | None = None,
    manual_dir: Path | None = None,
) -> list[str]:
    """Tests the finished cells of a workdir under what they lack, and adds to its results.

    Args:
      workdir: of run.py.
      protocols, rows: names of those wanted; none for all.
      wanted: corruptions, of conditions.NAMES.
      levels: by corruption, if others than its own.
      pack_folder: the pack that the rows were trained from, if it was moved.
      manual_dir: the folder of the recordings, for noisy audio, if they were moved.

    Returns:
      sentences on what could not be tested, and why.

    Raises:
      UserError: nothing to test, names that the workdir does not have, or networks that do not say
        what they said.
    """
    found = _networks(workdir, protocols, rows)
    done = {results.key(line) for line in results.read(workdir)}
    problems, networks = [], 0
    by_row: dict[str, list[dict]] = {}
    for record in found:
        by_row.setdefault(record["row"], []).append(record)
    for row, cells in by_row.items():
        usable = [r for r in cells if workdirs.params_folder(workdir, _cell(r)).exists()]
        if len(usable) < len(cells):
            problems.append(
                f"{len(cells) - len(usable)} of {len(cells)} cells of row {row} have no "
                "parameters: they are not finished, or ran with --config.run.keep_params=False"
            )
        networks += len(usable)
        applicable = conditions.applicable(cells[0]["modalities"], wanted, levels)
        missing = [
            (record, lacking)
            for record in usable
            if (lacking := [c for c in applicable if results.key(record, c) not in done])
        ]
        if missing:
            problems += _test_row(missing, workdir, pack_folder, manual_dir, done)
    if not networks:
        raise errors.UserError(f"{workdir} has no network to test: {'; '.join(problems)}")
    return list(dict.fromkeys(problems))


def _networks(workdir: Path, protocols: Sequence[str], rows: Sequence[str]) -> list[dict]:
    """Each network's record after most epochs: that of the parameters that its cell has kept."""
    found = records.read(workdir / records.FILE_NAME)
    if not found:
        raise errors.UserError(f"{workdir} holds no record; run.py --workdir={workdir} writes them")
    for what, names in (("protocol", protocols), ("row", rows)):
        known = dict.fromkeys(record[what] for record in found)
        for name in names:
            if name not in known:
                raise errors.unknown(what, name, known)
    last: dict[str, dict] = {}
    for record in sorted(found, key=lambda record: record["epochs"]):
        if (
            record["protocol"] in (protocols or [record["protocol"]])
            and record["row"] in (rows or [record["row"]])
            and not record["config"]["fusion"]["method"]  # decisions of other rows see no images
        ):
            last[_cell(record).name] = record
    if not last:
        raise errors.UserError(
            f"{workdir} has no network of the rows and protocols asked for: rows that join the "
            "decisions of others have none of their own"
        )
    return [record for record in found if record is last.get(_cell(record).name)]


def _cell(record: Mapping[str, Any]) -> Cell:
    return Cell(*(record[field] for field in ("row", "protocol", "fold", "seed")))


def _test_row(
    missing: Sequence[tuple[dict, list[Condition]]],
    workdir: Path,
    pack_folder: Path | None,
    manual_dir: Path | None,
    done: set[results.Key],
) -> list[str]:
    """Tests cells of one row under the conditions that each lacks; what could not be tested."""
    record = missing[-1][0]
    config = workdirs.config_of(record, {"pack": str(pack_folder)} if pack_folder else {})
    data = workdirs.open_data(record, config, workdir)
    tests = {_cell(r).name: workdirs.tested(_cell(r), config, data) for r, _ in missing}
    noisy, problems = {}, []
    for corruption, levels in _of_audio(missing).items():
        try:
            noisy[corruption] = noisy_audio.corrupted(
                data,
                record,
                workdir,
                manual_dir,
                rows=_audio_rows([test for test, _ in tests.values()], config.modalities),
                corruption=corruption,
                levels=levels,
                names=conditions.altered(Condition(corruption, 0.0), config.modalities),
            )
        except errors.UserError as error:
            problems.append(str(error))
            missing = [
                (r, [condition for condition in lacking if condition.corruption != corruption])
                for r, lacking in missing
            ]
    predict, about = workdirs.make_predict(config), _about()
    count = sum(1 + len(lacking) for _, lacking in missing)
    with Progress(count, record["row"], "tests") as progress:
        for r, lacking in missing:
            cell = _cell(r)
            params = checkpoints.load_params(workdirs.params_folder(workdir, cell))
            test, standard = tests[cell.name]
            for condition in (UNTOUCHED, *lacking):
                altered = conditions.altered(condition, config.modalities)
                probabilities = predict(
                    params,
                    *_inputs(test, data, standard, condition, altered, noisy),
                    absent=altered if condition.corruption == MISSING else (),
                )
                said = Examples(test.clip, test.view, test.label, probabilities)
                how = dict(about)
                if condition == UNTOUCHED:
                    how["largest_difference"] = _check_same(said, r, workdir)
                if results.key(r, condition) not in done:
                    results.save(workdir, r, condition, altered, said, how)
                progress.update(1, note=f"{cell.name} {condition.name}")
    return problems


_AUDIOS = [c.name for c in corruptions.CORRUPTIONS.values() if c.stream == "audio"]


def _of_audio(missing: Sequence[tuple[dict, list[Condition]]]) -> dict[str, list[float]]:
    """Corruption of the audio -> levels that some cell lacks."""
    lacking = dict.fromkeys(condition for _, conditions in missing for condition in conditions)
    found: dict[str, list[float]] = {}
    for corruption, level in lacking:
        if corruption in _AUDIOS:
            found.setdefault(corruption, []).append(level)
    return found


def _audio_rows(tests: Sequence[selection.Examples], names: Sequence[str]) -> np.ndarray:
    """Rows of the pack whose audio some test hears."""
    heard = [m.name for m in modalities.get(names) if m.stream == "audio"]
    return np.unique(np.concatenate([test.indices[name] for test in tests for name in heard]))


def _inputs(
    test: selection.Examples,
    data: pack.Pack,
    standard: Mapping[str, normalization.Standard],
    condition: Condition,
    altered: Sequence[str],
    noisy: Mapping[str, noisy_audio.Noisy],
) -> tuple[dict, dict, dict]:
    """What a test sees under a condition: its images, the image of each example, standards."""
    images, member, of_images = {}, {}, {}
    for name, rows in test.indices.items():
        used, member[name] = np.unique(rows, return_inverse=True)
        images[name] = np.asarray(data.arrays[name][used])
        if name in standard:  # measured on untouched images, as when the network was trained
            of_images[name] = standard[name].replace(group=standard[name].group[used])
        if name not in altered or condition.corruption == MISSING:
            continue
        if condition.corruption in noisy:
            made = noisy[condition.corruption]
            images[name] = np.stack([made[row, condition.level][name] for row in used.tolist()])
        else:
            clips = data.table["clip"][used].tolist()
            images[name] = conditions.corrupt(condition, images[name], clips)
    return images, member, of_images


def _check_same(said: Examples, record: Mapping[str, Any], workdir: Path) -> float:
    """How far untouched probabilities are from the cell's own; refuses what is no rounding."""
    cell = _cell(record).name
    path = workdir / "predictions" / f"{cell}.npz"
    stored = predictions.load(path).examples.get((record["epochs"], "test"))
    fields = ("clip", "view", "label")
    if stored is None or not all(
        np.array_equal(getattr(stored, field), getattr(said, field)) for field in fields
    ):
        raise errors.UserError(
            f"{path} is about other test examples than those that the cell has now: its data or "
            "the software have changed. Run its config again in another --workdir"
        )
    difference = float(np.abs(stored.probabilities - said.probabilities).max())
    same_device = record["device"] == sharding.describe()
    if difference > (TOLERANCE if same_device else TOLERANCE_ELSEWHERE):
        raise errors.UserError(
            f"the network of {cell} does not say what it said: probabilities differ by up to "
            f"{difference:.2g} (trained on {record['device']}, now on {sharding.describe()}). Its "
            "parameters, data or the software have changed. Run its config again in another "
            "--workdir"
        )
    return difference


def _about() -> dict[str, Any]:
    return {
        "device": sharding.describe(),
        "versions": provenance.versions(),
        "git_commit": provenance.git_commit(),
    }
