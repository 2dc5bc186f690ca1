"""Audio tracks of recordings as mono float32 samples."""

import av
import numpy as np
import soxr

from mmer_jax import errors
from mmer_jax.media import container as containers
from mmer_jax.media.container import Source

# One quantization step of 16-bit audio. Lossy codecs turn digital silence into samples below it.
SILENCE = 1 / 32768


def read_audio(source: Source, rate: int | None) -> tuple[np.ndarray, int]:
    """Reads the first audio track of a video or audio file.

    Args:
      source: A path, or the content of a file (.mp4 with AAC, .wav, .flac and others that FFmpeg
        reads).
      rate: Sampling rate in Hz to resample to; None keeps the sampling rate of the recording.

    Returns:
      A tuple (samples, rate): the waveform, float32 [n] in -1..1, the mean of the channels; and the
      sampling rate in Hz.

    Raises:
      ClipError: "empty file", "not a video", "truncated", or "no audio" if the file has no audio
        track or one without samples. A track of zeros raises no error (see `is_silent`).
      UserError: If the file does not exist or cannot be read.
    """
    with containers.open_media(source) as container:
        if not container.streams.audio:
            raise errors.ClipError("no audio", "the file has no audio track")
        stream = container.streams.audio[0]
        stream.codec_context.thread_count = 1
        native = stream.rate
        to_float = av.AudioResampler(format="fltp")
        blocks = []
        for frame in container.decode(stream):
            blocks += [_to_mono(block) for block in to_float.resample(frame)]
        blocks += [_to_mono(block) for block in to_float.resample(None)]
        declared = float(stream.duration * stream.time_base) if stream.duration else 0.0
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if not len(samples):
        raise errors.ClipError("no audio", "the audio track holds no samples")
    if len(samples) / native < declared - 0.1:
        raise errors.ClipError(
            "truncated",
            f"the file declares {declared:.2f} s of audio, only {len(samples) / native:.2f} s"
            " decode",
        )
    if rate is not None and rate != native:
        samples = soxr.resample(samples, native, rate, quality="HQ")
        native = rate
    return np.clip(samples, -1, 1), native


def is_silent(samples: np.ndarray) -> bool:
    """Returns whether a waveform is silent.

    Args:
      samples: float [n] in -1..1.

    Returns:
      Whether the magnitude of every sample is below one quantization step of 16-bit audio.
    """
    return not np.any(np.abs(samples) >= SILENCE)


def _to_mono(frame: av.AudioFrame) -> np.ndarray:
    return frame.to_ndarray().mean(axis=0, dtype=np.float32)
