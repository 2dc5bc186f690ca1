"""A build's work as an Apache Beam pipeline, on any of Beam's runners.

Workers read the recordings themselves: the folder must be one that all of them see, and so must the
folder that the set is built in.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from mmer_jax import parallel
from mmer_jax.datasets import clips
from mmer_jax.datasets.recordings import Recording


@dataclasses.dataclass(frozen=True)
class Problems:
    """What workers say of recordings that cannot be used: a file for each, which all runners have.

    Attributes:
      folder: where the files are.
    """

    folder: str

    def add(self, outcome: clips.Outcome) -> None:
        """Notes a problem; noted again, as when a runner repeats its work, it is still one."""
        said = (outcome.name, outcome.problem.kind, outcome.problem.detail)
        with FileSystems.create(self._file(hashlib.sha256(outcome.name.encode()).hexdigest())) as f:
            f.write(json.dumps(said).encode())

    def take(self) -> list[tuple[str, str, str]]:
        """(name, kind, detail) of each recording, sorted by name; and the files are gone."""
        found = []
        (matched,) = FileSystems.match([self._file("*")])
        for file in matched.metadata_list:
            with FileSystems.open(file.path) as f:
                found.append(tuple(json.loads(f.read())))
        FileSystems.delete([file.path for file in matched.metadata_list])
        return sorted(found)

    def _file(self, of: str) -> str:
        return FileSystems.join(self.folder, f"problem-{of}.json")


class Examples(beam.PTransform):
    """Keys and examples of recordings, in any order.

    Args:
      recordings: to work on.
      work: a recording -> its outcome; picklable.
      problems: where those that cannot be used are noted.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        work: Callable[[Recording], clips.Outcome],
        problems: Problems,
    ):
        super().__init__()
        self._recordings, self._work = list(recordings), _Work(work, problems)

    def expand(self, pipeline):
        # Spread: otherwise a runner may do all in the worker that made the list.
        return (
            pipeline
            | "Recordings" >> beam.Create(self._recordings)
            | "Spread" >> beam.Reshuffle()
            | "Work" >> beam.ParDo(self._work)
        )


class _Work(beam.DoFn):
    def __init__(self, work: Callable[[Recording], clips.Outcome], problems: Problems):
        self._work, self._problems = work, problems

    def setup(self):
        parallel.use_one_thread()

    def process(self, recording):
        outcome = self._work(recording)
        if outcome.problem:
            self._problems.add(outcome)
        for example in outcome.examples:
            yield clips.key(example), example
