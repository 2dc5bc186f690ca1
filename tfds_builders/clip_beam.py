"""Builds of clips with Apache Beam: the workers of the runner process the recordings.

If a recording cannot be used, the worker writes the reason to a small file, a note, in the folder
of the dataset. The driver reads the notes at the end. Notes are needed because only some runners
return results of workers to the driver, and none does if the pipeline fails, whereas every worker
of a TFDS build can write to the folder of the dataset.
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
    """Transform that yields (key, example) for the examples of all recordings.

    Args:
      recordings: Recordings. All workers must find the files under the same paths.
      process: Picklable function that computes the examples of a recording.
      strict: Whether a recording that cannot be used ends the pipeline.
      notes: Empty folder that notes are written to (see `read_problems`).
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        process: Callable[[Recording], clips.Outcome],
        strict: bool,
        notes: epath.Path,
    ):
        super().__init__()
        self._recordings = recordings
        self._process = _Process(process, strict, notes)

    def expand(self, pipeline):
        return (
            pipeline
            | "Recordings" >> beam.Create(list(enumerate(self._recordings)))
            | "Spread" >> beam.Reshuffle()
            | "Work" >> beam.ParDo(self._process)
        )


def read_problems(notes: epath.Path) -> list[clips.Outcome]:
    """Reads the notes of workers on recordings that could not be used.

    Args:
      notes: Folder of the notes, as passed to `Examples`.

    Returns:
      One Outcome without examples per note, in the order of the recordings.

    Raises:
      UserError: An error ended the pipeline; the message is that of the error.
    """
    paths = sorted(notes.glob("*.json"), key=lambda path: int(path.stem))
    contents = [json.loads(path.read_text()) for path in paths]
    for note in contents:
        if "end" in note:
            raise errors.UserError(note["end"])
    return [
        clips.Outcome(note["name"], [], errors.ClipError(note["kind"], note["detail"]))
        for note in contents
    ]


class _Process(beam.DoFn):
    def __init__(self, process_recording, strict: bool, notes: epath.Path):
        self._process_recording, self._strict, self._notes = process_recording, strict, notes

    def setup(self):
        parallel.limit_to_one_thread()

    def process(self, numbered: tuple[int, Recording]) -> Iterator[tuple[str, dict]]:
        number, recording = numbered
        path = self._notes / f"{number}.json"
        try:
            outcome = self._process_recording(recording)
            if outcome.problem and self._strict:
                raise clip_builder.make_error(outcome)
        except errors.UserError as e:
            path.write_text(json.dumps({"end": str(e)}))
            raise
        if problem := outcome.problem:
            note = {"name": outcome.name, "kind": problem.kind, "detail": problem.detail}
            path.write_text(json.dumps(note))
        else:
            path.unlink(missing_ok=True)  # left by a failed attempt, which runners repeat
        yield from clip_builder.keyed_examples(outcome)
