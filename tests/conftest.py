"""What tests share: real recordings where there are some, and writers of small media files."""

import atexit
import functools
import os
import shutil
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.clip_fixtures import bad_clip_names, bad_clips, clip, rendered

__all__ = ["bad_clip_names", "bad_clips", "clip", "rendered"]

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    # Before JAX is imported, and inherited by the processes that tests start: what one test has
    # compiled, no other compiles again.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="mmer_jax_compiled_")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
# Most of what tests compile runs for a moment: compiling fast counts, not running fast. Not level
# 0: with jax 0.10.2 it computed NaN for a gradient that every other level computes right.
# The caller's flags come last and win. XLA_FLAGS=--xla_cpu_max_isa=SSE4_2, for example, rounds
# otherwise, as another processor would: no tolerance may hold on one processor only.
os.environ["XLA_FLAGS"] = " ".join(
    (
        "--xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true",
        os.environ.get("XLA_FLAGS", ""),
    )
)
# Nor does it use memory again and again: see devices.keep_freed_memory, which this turns off.
os.environ.setdefault("MALLOC_ARENA_MAX", "16")


@pytest.fixture(scope="module", autouse=True)
def _one_device(request):
    """Leaves one device to all tests but those of tests/training, which simulate four.

    With more devices the number of cells to train decides how many devices each gets, and with that
    how sums are rounded: two runs that must give equal bits would not.
    """
    jax = sys.modules.get("jax")
    if jax is None or request.node.path.parent.name == "training":
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        for name in ("devices", "local_devices"):
            patch.setattr(jax, name, functools.partial(_first_device, getattr(jax, name)))
        yield


def _first_device(list_devices, *args, **kwargs):
    return list_devices(*args, **kwargs)[:1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings that MMER_REAL_DATA names; without it a test is skipped.

    It may hold ravdess_original_clips/Actor_XX/*.mp4, ravdess_actor01_gray_clips/Actor_01/*.mp4 and
    ravdess_speech_flac/Actor_XX/*.flac.
    """
    folder = os.environ.get("MMER_REAL_DATA")
    if not folder:
        pytest.skip("needs real recordings: set MMER_REAL_DATA to their folder")
    if not Path(folder).is_dir():
        pytest.fail(f"MMER_REAL_DATA names {folder}, which is not a folder")
    return Path(folder)


@pytest.fixture(scope="session")
def original_clips(real_data) -> list[Path]:
    """The original RAVDESS clips at hand, 1280x720."""
    clips = sorted((real_data / "ravdess_original_clips").rglob("*.mp4"))
    if not clips:
        pytest.skip(f"no ravdess_original_clips/**/*.mp4 in MMER_REAL_DATA={real_data}")
    return clips


@pytest.fixture(scope="session")
def write_clip():
    """A function that writes a small video with or without audio: see _write_clip."""
    return _write_clip


@pytest.fixture(scope="session")
def write_audio():
    """A function that writes a .wav or .flac file: see _write_audio."""
    return _write_audio


@pytest.fixture(scope="session")
def sine():
    """A function that makes a tone: (hertz, seconds, rate) -> float32 [n]."""
    return lambda hertz, seconds, rate=22050: (
        0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    ).astype(np.float32)


def _write_clip(
    path, frames, *, rate=25, waveform=None, audio_rate=48000, codec="libx264", options=None
):
    """Writes frames and audio to a video file, of the kind that the path's suffix names.

    Args:
      path: the file; its parent folder is made.
      frames: uint8 [t, h, w, 3] RGB, even sides; may be empty for a file of audio alone.
      rate: frames a second.
      waveform: float [n] or [n, channels] in -1..1, or None for no track at all.
      audio_rate: samples a second.
      codec: of the image.
      options: of the container, such as {"movflags": "faststart"}.

    Returns:
      The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options or {}) as container:
        images = voice = None
        if len(frames):
            images = container.add_stream(codec, rate=Fraction(rate).limit_denominator(100000))
            images.height, images.width = frames[0].shape[:2]
            images.pix_fmt = "yuv420p"
            if codec == "libx264":
                images.options = {"crf": "12", "preset": "veryfast"}
        if waveform is not None:
            voice = container.add_stream("aac", rate=audio_rate, layout=_layout(waveform))
        for image in frames:
            container.mux(images.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        if images:
            container.mux(images.encode())
        if voice:
            _encode_audio(container, voice, waveform, audio_rate)
    return path


def _write_audio(path, waveform, rate=48000):
    """Writes float [n] or [n, channels] as 16-bit .wav or .flac. Returns the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = {".wav": "pcm_s16le", ".flac": "flac"}[path.suffix]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=_layout(waveform))
        _encode_audio(container, stream, waveform, rate, "s16")
    return path


def _layout(waveform) -> str:
    return "mono" if np.ndim(waveform) == 1 or np.shape(waveform)[1] == 1 else "stereo"


def _encode_audio(container, stream, waveform, rate, kind="flt"):
    samples = np.asarray(waveform, np.float32)
    samples = samples[:, None] if samples.ndim == 1 else samples
    if kind == "s16":
        samples = np.round(samples * 32767).astype(np.int16)
    for start in range(0, len(samples), 1024):
        part = np.ascontiguousarray(samples[start : start + 1024]).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(part, format=kind, layout=_layout(waveform))
        frame.sample_rate = rate
        frame.pts = start
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


@pytest.fixture
def strong_config():
    """The config of table 8, unlocked for nothing: a test that changes it gets its own."""
    from configs import ravdess_strong

    return ravdess_strong.get_config()


@pytest.fixture(scope="session")
def small_pack(tmp_path_factory) -> Path:
    """A pack of 60 clips, 3 views each, 16x16 pixels: brightness tells the emotion, with noise."""
    from mmer_jax.datasets import pack

    rng = np.random.default_rng(0)
    emotions = np.array(["anger", "disgust", "fear", "happiness", "sadness"])
    clip, view = np.repeat(np.arange(60), 3), np.tile(np.arange(3), 60)
    n = len(clip)
    one = np.ones(n, np.int32)

    def images(channels):
        brightness = 30 + 45 * (clip % 5)[:, None, None, None]
        noisy = brightness + rng.normal(0, 25, (n, 16, 16, channels))
        return np.clip(noisy, 0, 255).astype(np.uint8)

    table = {
        "clip": np.array([f"01-01-{3 + c % 5:02d}-02-01-01-{c // 5 + 1:02d}" for c in clip]),
        "view": view,
        "emotion": emotions[clip % 5],
        "subject": np.array([f"actor_{c // 5 + 1:02d}" for c in clip]),
        "gender": np.full(n, "male"),
        "intensity": np.full(n, "strong"),
        "statement": one,
        "repetition": one,
        "channel": np.full(n, "audio_video"),
        "audio_variant": np.array(["original", "noise", "pitch_shift"])[view],
        "content_id": np.array([f"audio{c}" for c in clip]),
        "frame_index": one,
        "frame_time": np.zeros(n, np.float32),
        "duration": np.ones(n, np.float32),
    }
    info = {
        "dataset": "ravdess",
        "origin": "rendered",
        "builder_config": "triplets",
        "version": "1.0.0",
        "options": {},
        "skipped": {},
    }
    path = tmp_path_factory.mktemp("pack") / "16px"
    pack.write_pack(path, info, table, {"face": images(3), "flow": images(3), "mel": images(1)})
    return path


@pytest.fixture(scope="session")
def alter_pack():
    """A function that copies a pack with nonsense in place of some clips: see _alter_pack."""
    return _alter_pack


def _alter_pack(folder, source, clips):
    """Copies a pack; the given clips have noise for images, and one another's labels.

    Args:
      folder: where to.
      source: the pack.
      clips: names; several, with more than one emotion.

    Returns:
      The folder.
    """
    from mmer_jax.datasets import pack

    data = pack.open_pack(source)
    rows = np.flatnonzero(np.isin(data.table["clip"], list(clips)))
    table = {name: column.copy() for name, column in data.table.items()}
    views = len(rows) // len(set(clips))
    table["emotion"][rows] = np.roll(table["emotion"][rows], views)  # of the clip before
    arrays = {name: np.array(array) for name, array in data.arrays.items()}
    rng = np.random.default_rng(1)
    for array in arrays.values():
        array[rows] = rng.integers(0, 256, array[rows].shape)
    keys = ("dataset", "origin", "builder_config", "version", "options", "skipped")
    pack.write_pack(folder, {key: data.info[key] for key in keys}, table, arrays)
    return folder
