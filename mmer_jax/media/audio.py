"""Audio of a recording as one channel of float32 samples."""

import av
import numpy as np
import soxr

from mmer_jax import errors
from mmer_jax.media import container as containers
from mmer_jax.media.container import Source

# Below one step of 16-bit audio nothing was recorded: lossy codecs leave such traces of pure zeros.
SILENCE = 1 / 32768


def read_audio(source: Source, rate: int | None) -> tuple[np.ndarray, int]:
    """Reads the first audio track of a video or audio file.

    Args:
      source: a path, or a file's content (.mp4 with AAC, .wav, .flac and others that FFmpeg reads).
      rate: samples a second wanted; None keeps the recording's own.

    Returns:
      samples: float32 [n] in -1..1, the mean of the channels.
      rate: samples a second.

    Raises:
      ClipError: "empty file", "not a video", "truncated", or "no audio" where there is no audio
        track or no sample in it. A track of zeros is audio here: see is_silent.
      UserError: there is no such file.
    """
    with containers.open_media(source) as container:
        if not container.streams.audio:
            raise errors.ClipError("no audio", "the file has no audio track")
        stream = container.streams.audio[0]
        stream.codec_context.thread_count = 1
        native = stream.rate
        to_float = av.AudioResampler(format="fltp")
        parts = []
        for frame in container.decode(stream):
            parts += [_mono(part) for part in to_float.resample(frame)]
        parts += [_mono(part) for part in to_float.resample(None)]
        stated = float(stream.duration * stream.time_base) if stream.duration else 0.0
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if not len(samples):
        raise errors.ClipError("no audio", "the audio track holds no samples")
    if len(samples) / native < stated - 0.1:
        raise errors.ClipError(
            "truncated",
            f"{stated:.2f} s of audio are declared, {len(samples) / native:.2f} s are there",
        )
    if rate is not None and rate != native:
        samples = soxr.resample(samples, native, rate, quality="HQ")
        native = rate
    return np.clip(samples, -1, 1), native


def is_silent(samples: np.ndarray) -> bool:
    """Whether nothing was recorded: every sample (float, [n]) is below one step of 16-bit audio."""
    return not np.any(np.abs(samples) >= SILENCE)


def _mono(frame: av.AudioFrame) -> np.ndarray:
    return frame.to_ndarray().mean(axis=0, dtype=np.float32)
