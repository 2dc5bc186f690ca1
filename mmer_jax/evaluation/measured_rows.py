"""The rows that workdirs hold records of, one for each protocol."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from mmer_jax import errors
from mmer_jax.evaluation import summary
from mmer_jax.results import records


@dataclasses.dataclass(frozen=True)
class MeasuredRow:
    """A row that was measured in a work folder, under one protocol."""

    workdir: Path
    table: str
    protocol: str
    row: summary.Row

    @property
    def record(self) -> dict:
        """One of its records after most epochs; they differ in fold and seed alone."""
        return self.row.last.records[0]

    @property
    def tested_on(self) -> str:
        """Name of the data set that was tested on."""
        return self.record["dataset"]["name"].split(" to ")[-1]

    @property
    def data(self) -> str:
        """The recordings, in words."""
        described = self.record["dataset"]
        first, *others = described["name"].split(" to ")
        if others:
            return f"trained on {first}, tested on {others[0]}"
        named = ", ".join((first, *(described.get("intensities") or ())))
        if self.people is None or "clips" not in described:
            return named
        return f"{named}: {described['clips']} clips of {self.people} people"

    @property
    def people(self) -> int | None:
        """How many people the recordings show, where the record says so."""
        subjects = self.record["dataset"].get("subjects")
        return len(subjects) if isinstance(subjects, list) else subjects

    @property
    def why_not(self) -> str | None:
        """Why it is set beside nothing, or None."""
        if self.row.rendered:
            return "rendered clips"
        if self.record["config"].get("split", {}).get("shuffle_labels"):
            return "trained on shuffled labels"
        return None

    @property
    def folds(self) -> int:
        """How many folds were run."""
        return len({record["fold"] for record in self.row.last.records})


def read_rows(workdirs: Iterable[Path]) -> list[MeasuredRow]:
    """All rows of some work folders.

    Raises:
      UserError: a folder without a record.
    """
    result = []
    for workdir in workdirs:
        found = records.read(Path(workdir) / records.FILE_NAME)
        if not found:
            raise errors.UserError(
                f"{workdir} holds no record; run.py --workdir={workdir} writes them"
            )
        result += [
            MeasuredRow(Path(workdir), block.table, block.protocol, row)
            for block in summary.blocks(found)
            for row in block.rows
        ]
    return result
