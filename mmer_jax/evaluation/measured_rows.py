"""Config rows with results in the workdirs of runs, one per row and protocol."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from mmer_jax import errors
from mmer_jax.evaluation import summary
from mmer_jax.results import records
from mmer_jax.results.records import Record

# Fields of a config by which a row is trained or tested on fewer examples than its protocol gives.
_DEVIATIONS = {
    "split.equal_training": "trained on a thinned training subset",
    "split.leave_out_fold": "without the speakers of one fold",
    "data.picked": "on a list of frames only",
}
_UNSET = (None, (), [])


@dataclasses.dataclass(frozen=True)
class MeasuredRow:
    """Results of one config row of a workdir under one protocol.

    Attributes:
      workdir: Path of the workdir.
      table: Name of the table of results.
      protocol: Name of the protocol.
      row: Results of the config row.
    """

    workdir: Path
    table: str
    protocol: str
    row: summary.Row

    @property
    def record(self) -> Record:
        """The first of the records after the most epochs.

        All of them have the same dataset and the same fields of the config that determine results.
        """
        return self.row.last.records[0]

    @property
    def test_dataset(self) -> str:
        """Name of the dataset that the row was tested on; two are recorded as "TRAIN to TEST"."""
        return self.record["dataset"]["name"].split(" to ")[-1]

    @property
    def data_description(self) -> str:
        """Description of the recordings, to be shown in a table."""
        dataset = self.record["dataset"]
        first, *others = dataset["name"].split(" to ")
        if others:
            return f"trained on {first}, tested on {others[0]}"
        name = ", ".join((first, *(dataset.get("intensities") or ())))
        if self.subject_count is None or "clips" not in dataset:
            return name
        return f"{name}: {dataset['clips']} clips of {self.subject_count} subjects"

    @property
    def subject_count(self) -> int | None:
        """Number of subjects in the recordings, or None if the record does not contain it."""
        subjects = self.record["dataset"].get("subjects")
        return len(subjects) if isinstance(subjects, list) else subjects

    @property
    def exclusion_reason(self) -> str | None:
        """Reason to leave the row out of comparisons with published results; None if none applies.

        None does not make a row comparable with an entry: see `reports.literature.meets`.
        """
        if self.row.rendered:
            return "rendered clips"
        if self.record["config"].get("split", {}).get("shuffle_labels"):
            return "trained on shuffled labels"
        if self.row.tested == "validation":
            return "measured on validation data"
        return None

    @property
    def deviations(self) -> list[str]:
        """What sets the row apart from every published result; empty if nothing does.

        A late fusion has the deviations of the rows that it combines.
        """
        deviations = []
        if self.row.setting == "transductive":
            deviations.append("transductive")
        for field, description in _DEVIATIONS.items():
            section, name = field.split(".")
            if any(config.get(section, {}).get(name) not in _UNSET for config in self.row.configs):
                deviations.append(f"{description} (config.{field})")
        return deviations

    @property
    def fold_count(self) -> int:
        """Number of folds of which every seed has results after the most epochs."""
        folds = [
            {record["fold"] for record in self.row.last.records if record["seed"] == seed}
            for seed in self.row.last.seeds
        ]
        return len(set.intersection(*folds))


def read_rows(workdirs: Iterable[Path], per_clip: bool = False) -> list[MeasuredRow]:
    """Reads the results of all config rows of workdirs.

    Args:
      workdirs: Workdirs of runs.
      per_clip: Whether to read the predictions too, for results per clip (see `summary.blocks`).

    Returns:
      One MeasuredRow per workdir, table, protocol and config row.

    Raises:
      UserError: A workdir has no records.
    """
    rows = []
    for workdir in workdirs:
        stored = records.read(Path(workdir) / records.FILE_NAME)
        if not stored:
            raise errors.UserError(
                f"{workdir} holds no records; run.py --workdir={workdir} writes them"
            )
        rows += [
            MeasuredRow(Path(workdir), block.table, block.protocol, row)
            for block in summary.blocks(stored, workdir if per_clip else None)
            for row in block.rows
        ]
    return rows
