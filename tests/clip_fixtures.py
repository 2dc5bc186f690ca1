"""Fixtures: small rendered clips, and clips that cannot be used."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mmer_jax.synthetic.ravdess import render_ravdess


@pytest.fixture(scope="session")
def rendered(tmp_path_factory) -> Path:
    """A manual folder with four small clips: actors 1 and 2, anger and neutral."""
    folder = tmp_path_factory.mktemp("rendered")
    render_ravdess(
        folder,
        actors=2,
        emotions=("anger", "neutral"),
        intensities=("normal",),
        statements=(1,),
        repetitions=(1,),
        size=(160, 120),
        seconds=0.8,
        workers=1,
    )
    return folder


@pytest.fixture(scope="session")
def clip(rendered) -> Path:
    """One of the rendered clips."""
    return rendered / "Actor_01" / "01-01-05-01-01-01-01.mp4"


@pytest.fixture(scope="session")
def bad_clips(tmp_path_factory, clip, write_clip, sine) -> Path:
    """A folder with one valid clip, and one clip for each problem in BAD_CLIPS."""
    folder = tmp_path_factory.mktemp("bad")
    content = clip.read_bytes()
    frames = np.full((12, 96, 96, 3), 60, np.uint8)
    for i, frame in enumerate(frames):
        frame[30:60, 10 + 3 * i : 40 + 3 * i] = (200, 120, 90)
    voice = sine(220, 1.0, 16000)

    def write(name: str, data: bytes) -> None:
        (folder / f"{name}.mp4").write_bytes(data)

    def encode(name: str, frames: np.ndarray, waveform: np.ndarray | None) -> None:
        write_clip(folder / f"{name}.mp4", frames, rate=12, waveform=waveform, audio_rate=16000)

    shutil.copy(clip, folder)
    write("01-01-03-01-01-01-01", content[: len(content) // 2])
    write("01-01-03-01-01-02-01", b"")
    write("01-01-03-01-02-01-01", b"This is no video.\n" * 100)
    write("holiday", content)
    encode("01-01-03-01-02-02-01", frames, None)
    encode("01-01-04-01-01-01-01", frames, np.zeros(16000))
    encode("01-01-04-01-01-02-01", frames[:0], voice)
    encode("01-01-04-01-02-01-01", frames[:1], voice[:800])
    return folder


# Kind of problem -> names in the folder `bad_clips`.
BAD_CLIPS = {
    "bad name": ["holiday"],
    "empty file": ["01-01-03-01-01-02-01"],
    "no video stream": ["01-01-04-01-01-02-01"],
    "no audio": ["01-01-03-01-02-02-01"],
    "not a video": ["01-01-03-01-02-01-01"],
    "silent audio": ["01-01-04-01-01-01-01"],
    "too short": ["01-01-04-01-02-01-01"],
    "truncated": ["01-01-03-01-01-01-01"],
}


@pytest.fixture(scope="session")
def bad_clip_names() -> dict[str, list[str]]:
    """The mapping BAD_CLIPS: kind of problem -> names in the folder `bad_clips`."""
    return BAD_CLIPS
