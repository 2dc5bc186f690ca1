"""Tests of a workdir's trained networks under corruptions that they were not trained on.

Nothing is trained. Each cell's saved parameters predict the cell's own test examples: first
untouched, which must reproduce the cell's stored predictions, then with each corruption at each
level. Conditions that have already been measured are skipped.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmer_jax import errors, modalities
from mmer_jax.config.cell import Cell
from mmer_jax.datasets import pack, selection
from mmer_jax.inference import workdirs
from mmer_jax.inference.predictor import Predictor
from mmer_jax.media import corruptions
from mmer_jax.results import predictions, records
from mmer_jax.results.predictions import Predictions
from mmer_jax.robustness import conditions, noisy_audio, results
from mmer_jax.robustness.conditions import MISSING, UNTOUCHED, Condition
from mmer_jax.training import checkpoints, sharding
from mmer_jax.training.normalization import Normalization
from mmer_jax.utils import provenance
from mmer_jax.utils.progress import Progress

# Largest allowed difference from the stored probabilities. TOLERANCE applies on the kind of device
# that trained the network, TOLERANCE_ELSEWHERE on others, which may compute convolutions with a
# lower precision.
TOLERANCE, TOLERANCE_ELSEWHERE = 1e-4, 2e-2


def run(
    workdir: Path,
    *,
    protocols: Sequence[str] = (),
    rows: Sequence[str] = (),
    requested: Iterable[str] = conditions.NAMES,
    levels: Mapping[str, Sequence[float]] | None = None,
    pack_folder: Path | None = None,
    manual_dir: Path | None = None,
) -> list[str]:
    """Tests the finished cells of a workdir under the conditions that have no results yet.

    Args:
      workdir: Workdir of a finished run; results are added to it.
      protocols: Names of evaluation protocols to test; all if empty.
      rows: Names of config rows to test; all if empty.
      requested: Names of corruptions, out of `conditions.NAMES`.
      levels: Name of a corruption -> its levels; the default levels for corruptions that are
        absent.
      pack_folder: New location of the pack that the networks were trained from, if the pack has
        been moved.
      manual_dir: New location of the original recordings, if they have been moved; used only for
        audio noise.

    Returns:
      Messages that state what could not be tested, and why; empty if everything was tested.

    Raises:
      UserError: There is nothing to test, the workdir has no results for a name in `protocols` or
        `rows`, or a network does not reproduce its stored predictions.
    """
    done = {results.make_key(result) for result in results.read_results(workdir)}
    problems, count = [], 0
    by_row: dict[str, list[dict]] = {}
    for record in list_networks(workdir, protocols, rows):
        by_row.setdefault(record["row"], []).append(record)
    for row, cells in by_row.items():
        usable = [r for r in cells if workdirs.params_folder(workdir, cell_of(r)).exists()]
        if len(usable) < len(cells):
            problems.append(
                f"{len(cells) - len(usable)} of {len(cells)} cells of row {row} have no "
                "parameters: they are not finished, or ran with --config.run.keep_params=False"
            )
        count += len(usable)
        applicable = conditions.list_conditions(cells[0]["modalities"], requested, levels)
        missing = [
            (record, untested)
            for record in usable
            if (untested := [c for c in applicable if results.make_key(record, c) not in done])
        ]
        if missing:
            problems += _test_row(missing, workdir, pack_folder, manual_dir, done)
    if not count:
        raise errors.UserError(f"{workdir} has no network to test: {'; '.join(problems)}")
    return list(dict.fromkeys(problems))


def list_networks(workdir: Path, protocols: Sequence[str], rows: Sequence[str]) -> list[dict]:
    """Returns each network's record after the most epochs, when its parameters were saved.

    Args:
      workdir: Workdir of a run.
      protocols: Names of evaluation protocols; all if empty.
      rows: Names of config rows; all if empty.

    Raises:
      UserError: The workdir has no results for a name in `protocols` or `rows`, or no network.
    """
    all_records = records.read(workdir / records.FILE_NAME)
    if not all_records:
        raise errors.UserError(
            f"{workdir} holds no records; run.py --workdir={workdir} writes them"
        )
    for field, names in (("protocol", protocols), ("row", rows)):
        existing = dict.fromkeys(record[field] for record in all_records)
        for name in names:
            if name not in existing:
                raise errors.unknown(field, name, existing)
    last: dict[str, dict] = {}
    for record in sorted(all_records, key=lambda record: record["epochs"]):
        if (
            record["protocol"] in (protocols or [record["protocol"]])
            and record["row"] in (rows or [record["row"]])
            and not record["config"]["fusion"]["method"]  # late fusion has no inputs of its own
        ):
            last[cell_of(record).name] = record
    if not last:
        raise errors.UserError(
            f"{workdir} has no network of these rows and protocols: late fusion combines the "
            "predictions of other rows and has no network of its own"
        )
    return [record for record in all_records if record is last.get(cell_of(record).name)]


def cell_of(record: Mapping[str, Any]) -> Cell:
    """Returns the cell of a record."""
    return Cell(*(record[field] for field in ("row", "protocol", "fold", "seed")))


def _test_row(
    missing: Sequence[tuple[dict, list[Condition]]],
    workdir: Path,
    pack_folder: Path | None,
    manual_dir: Path | None,
    done: set[results.Key],
) -> list[str]:
    """Tests the cells of one row, each under the conditions that have no results yet.

    Args:
      missing: For each cell, its record and the conditions that have no results yet.
      workdir: See `run`.
      pack_folder: See `run`.
      manual_dir: See `run`.
      done: Keys of the existing results.

    Returns:
      Messages that state what could not be tested, and why.
    """
    record = missing[-1][0]
    config = workdirs.load_config(record, {"pack": str(pack_folder)} if pack_folder else {})
    data = workdirs.open_pack(record, config, workdir)
    tests = {
        cell_of(r).name: workdirs.load_test_examples(cell_of(r), config, data) for r, _ in missing
    }
    noisy, problems = {}, []
    for corruption, levels in _audio_levels(missing).items():
        try:
            noisy[corruption] = noisy_audio.compute_images(
                data,
                record,
                workdir,
                manual_dir,
                indices=_audio_indices([test for test, _ in tests.values()], config.modalities),
                corruption=corruption,
                levels=levels,
                names=conditions.altered_modalities(Condition(corruption, 0.0), config.modalities),
            )
        except errors.UserError as error:
            problems.append(str(error))
            missing = [
                (r, [condition for condition in untested if condition.corruption != corruption])
                for r, untested in missing
            ]
    predictor, provenance_fields = Predictor(config), describe_software()
    count = sum(1 + len(untested) for _, untested in missing)
    with Progress(count, record["row"], "tests") as progress:
        for r, untested in missing:
            cell = cell_of(r)
            params = checkpoints.load_params(workdirs.params_folder(workdir, cell))
            test, norm = tests[cell.name]
            for condition in (UNTOUCHED, *untested):
                altered = conditions.altered_modalities(condition, config.modalities)
                probabilities = predictor.probabilities(
                    params,
                    *_inputs(test, data, norm, condition, altered, noisy),
                    absent=altered if condition.corruption == MISSING else (),
                )
                examples = Predictions(test.clip, test.view, test.label, probabilities)
                details = dict(provenance_fields)
                if condition == UNTOUCHED:
                    details["largest_difference"] = check_same(examples, r, workdir)
                if results.make_key(r, condition) not in done:
                    results.save(workdir, r, condition, altered, examples, details)
                progress.update(1, note=f"{cell.name} {condition.name}")
    return problems


_AUDIO_CORRUPTIONS = [c.name for c in corruptions.CORRUPTIONS.values() if c.stream == "audio"]


def _audio_levels(missing: Sequence[tuple[dict, list[Condition]]]) -> dict[str, list[float]]:
    """Returns the levels, by corruption of audio, for which any cell has no results yet."""
    unique = dict.fromkeys(condition for _, conditions in missing for condition in conditions)
    levels: dict[str, list[float]] = {}
    for corruption, level in unique:
        if corruption in _AUDIO_CORRUPTIONS:
            levels.setdefault(corruption, []).append(level)
    return levels


def _audio_indices(tests: Sequence[selection.Examples], names: Sequence[str]) -> np.ndarray:
    """Returns the sorted pack indices, int [n], of the examples whose audio any test uses."""
    waveforms = [m.name for m in modalities.get(names) if m.stream == "audio"]
    return np.unique(np.concatenate([test.indices[name] for test in tests for name in waveforms]))


def _inputs(
    test: selection.Examples,
    data: pack.Pack,
    norm: Normalization,
    condition: Condition,
    altered: Sequence[str],
    noisy: Mapping[str, noisy_audio.NoisyImages],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], Normalization]:
    """Returns the inputs of a test under a condition.

    Args:
      test: The test examples.
      data: The pack.
      norm: Normalization of the cell's inputs.
      condition: The condition.
      altered: Modalities that the condition alters.
      noisy: Name of a corruption -> images of noisy audio.

    Returns:
      A tuple (images, inverse, norm). `images` maps each modality to the m distinct images, uint8
      [m, s, s, c]; `inverse` maps each modality to the index of each example's image in `images`,
      int [n]; `norm` is the normalization with the group of each of the m images.
    """
    images, inverse, groups = {}, {}, {}
    for name, example_indices in test.indices.items():
        indices, inverse[name] = np.unique(example_indices, return_inverse=True)
        images[name] = np.asarray(data.arrays[name][indices])
        if name in norm.groups:  # statistics of untouched images, as in training
            groups[name] = norm.groups[name][indices]
        if name not in altered or condition.corruption == MISSING:
            continue
        if condition.corruption in noisy:
            by_index = noisy[condition.corruption]
            images[name] = np.stack([by_index[i, condition.level][name] for i in indices.tolist()])
        else:
            clips = data.table["clip"][indices].tolist()
            images[name] = conditions.corrupt(condition, images[name], clips)
    return images, inverse, Normalization(norm.stats, groups)


def check_same(examples: Predictions, record: Mapping[str, Any], workdir: Path) -> float:
    """Compares the probabilities of untouched inputs with the cell's stored predictions.

    Args:
      examples: The test examples with the probabilities of the cell's network.
      record: Record of the cell.
      workdir: Workdir of the run.

    Returns:
      The largest absolute difference of a probability.

    Raises:
      UserError: The examples are not the stored ones, or the difference is larger than rounding
        explains.
    """
    cell = cell_of(record).name
    path = workdir / "predictions" / f"{cell}.npz"
    stored = predictions.load(path).examples.get((record["epochs"], "test"))
    fields = ("clip", "view", "label")
    if stored is None or not all(
        np.array_equal(getattr(stored, field), getattr(examples, field)) for field in fields
    ):
        raise errors.UserError(
            f"{path} has other test examples than the cell has now: the data or the software have "
            "changed. Run the config again in another --workdir"
        )
    difference = float(np.abs(stored.probabilities - examples.probabilities).max())
    same_device = record["device"] == sharding.describe()
    if difference > (TOLERANCE if same_device else TOLERANCE_ELSEWHERE):
        raise errors.UserError(
            f"the network of {cell} does not reproduce its stored predictions: probabilities "
            f"differ by up to {difference:.2g} (trained on {record['device']}, now on "
            f"{sharding.describe()}). Its parameters, the data or the software have changed. Run "
            "the config again in another --workdir"
        )
    return difference


def describe_software() -> dict[str, Any]:
    """Returns the fields of a result that describe the current device and software."""
    return {
        "device": sharding.describe(),
        "versions": provenance.versions(),
        "git_commit": provenance.git_commit(),
    }
