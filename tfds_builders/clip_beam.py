"""Builds of clips under Apache Beam: recordings are worked on wherever the runner has workers.

A recording that cannot be used is told in a small file beside the data, which the driver reads in
the end. What else a worker knows reaches the driver on some runners only, and on none if the
pipeline fails; the folder of the data is one that every worker of a TFDS build writes to.
"""

import json
from collections.abc import Callable, Iterator, Sequence

import apache_beam as beam
from etils import epath

from mmer_jax import errors
from mmer_jax.corpora.recordings import Recording
from mmer_jax.datasets import clips
from mmer_jax.utils import parallel
from tfds_builders import clip_builder


class Examples(beam.PTransform):
    """The examples of some recordings, each with its key.

    Args:
      chosen: the recordings; their files must be where the workers see them under the same paths.
      work: what makes a recording's examples; picklable.
      strict: a recording that cannot be used ends the pipeline.
      notes: an empty folder for `problems`.
    """

    def __init__(
        self,
        chosen: Sequence[Recording],
        work: Callable[[Recording], clips.Outcome],
        strict: bool,
        notes: epath.Path,
    ):
        super().__init__()
        self._chosen = chosen
        self._work = _Work(work, strict, notes)

    def expand(self, pipeline):
        return (
            pipeline
            | "Recordings" >> beam.Create(list(enumerate(self._chosen)))
            | "Spread" >> beam.Reshuffle()
            | "Work" >> beam.ParDo(self._work)
        )


def problems(notes: epath.Path) -> list[clips.Outcome]:
    """What workers told of recordings that cannot be used, in the order of the recordings.

    Raises:
      UserError: one of them ended the build.
    """
    files = sorted(notes.glob("*.json"), key=lambda file: int(file.stem))
    told = [json.loads(file.read_text()) for file in files]
    for note in told:
        if "end" in note:
            raise errors.UserError(note["end"])
    return [clips.Outcome(n["name"], [], errors.ClipError(n["kind"], n["detail"])) for n in told]


class _Work(beam.DoFn):
    def __init__(self, work, strict: bool, notes: epath.Path):
        self._work, self._strict, self._notes = work, strict, notes

    def setup(self):
        parallel.limit_to_one_thread()

    def process(self, numbered: tuple[int, Recording]) -> Iterator[tuple[str, dict]]:
        number, recording = numbered
        file = self._notes / f"{number}.json"
        try:
            outcome = self._work(recording)
            if outcome.problem and self._strict:
                raise clip_builder.refusal(outcome)
        except errors.UserError as e:
            file.write_text(json.dumps({"end": str(e)}))
            raise
        if problem := outcome.problem:
            note = {"name": outcome.name, "kind": problem.kind, "detail": problem.detail}
            file.write_text(json.dumps(note))
        else:
            file.unlink(missing_ok=True)  # of an earlier try, which runners may repeat
        yield from clip_builder.keyed_examples(outcome)
