"""Audio augmentation: noise, pitch shift, time shift and time stretch (the paper's section 7.2)."""

import dataclasses
from collections.abc import Callable

import librosa
import numpy as np

from mmer_jax import errors

# librosa's STFT window. Shorter waveforms are padded to it before pitch or tempo is changed.
_WINDOW = 2048


@dataclasses.dataclass(frozen=True)
class AudioAmounts:
    """Strengths of the augmentations.

    The paper (Bilotti et al., 2024, doi:10.1016/j.engappai.2023.107708) does not specify them; the
    defaults are choices of this package.

    Attributes:
      noise_snr_db: Signal-to-noise ratio in dB, the ratio of mean powers of waveform and noise.
      pitch_semitones: Pitch shift in semitones; positive is higher.
      shift_seconds: Time shift in seconds; positive is later.
      stretch_factor: Tempo factor; above 1 is faster and shorter.

    Raises:
      UserError: If `stretch_factor` is not above 0.
    """

    noise_snr_db: float = 15.0
    pitch_semitones: float = 2.0
    shift_seconds: float = 0.5
    stretch_factor: float = 0.8

    def __post_init__(self):
        if not self.stretch_factor > 0:
            raise errors.UserError(f"stretch_factor must be above 0, found {self.stretch_factor}")


def add_noise(samples: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Adds white Gaussian noise, `snr_db` decibels below the mean power of the waveform.

    Args:
      samples: Waveform, float [n].
      snr_db: Signal-to-noise ratio in dB.
      rng: Generator that the noise is drawn from.

    Returns:
      float32 [n]; peaks may exceed -1..1. Silence stays silent.
    """
    samples = np.asarray(samples, np.float32)
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    level = np.float32(np.sqrt(power * 10 ** (-snr_db / 10)))
    return samples + level * rng.standard_normal(len(samples), np.float32)


def shift_pitch(samples: np.ndarray, rate: int, semitones: float) -> np.ndarray:
    """Changes the pitch and keeps the duration, with librosa.effects.pitch_shift.

    Args:
      samples: Waveform, float [n].
      rate: Sampling rate in Hz.
      semitones: Shift in semitones; positive is higher.

    Returns:
      float32 [n].
    """
    padded = _pad_to_window(samples)
    return librosa.effects.pitch_shift(padded, sr=rate, n_steps=semitones)[: len(samples)]


def shift_time(samples: np.ndarray, rate: int, seconds: float) -> np.ndarray:
    """Shifts a waveform in time, circularly.

    Samples that leave at one end enter at the other. No speech is lost, and recordings of one
    sentence begin and end with silence.

    Args:
      samples: Waveform, float [n].
      rate: Sampling rate in Hz.
      seconds: Shift in seconds; positive is later.

    Returns:
      float32 [n].
    """
    return np.roll(np.asarray(samples, np.float32), round(seconds * rate))


def stretch_time(samples: np.ndarray, factor: float) -> np.ndarray:
    """Changes the tempo and keeps the pitch, with librosa.effects.time_stretch.

    Args:
      samples: Waveform, float [n].
      factor: Tempo factor, above 0. A factor above 1 makes the waveform faster and shorter.

    Returns:
      float32 [round(n / factor)].
    """
    stretched = librosa.effects.time_stretch(_pad_to_window(samples), rate=factor)
    return stretched[: round(len(samples) / factor)]


def _pad_to_window(samples: np.ndarray) -> np.ndarray:
    samples = np.asarray(samples, np.float32)
    return np.pad(samples, (0, max(0, _WINDOW - len(samples))))


def apply_variant(
    samples: np.ndarray, rate: int, variant: str, amounts: AudioAmounts, rng: np.random.Generator
) -> np.ndarray:
    """Applies one of AUDIO_VARIANTS to a waveform.

    Args:
      samples: Waveform, float [n].
      rate: Sampling rate in Hz.
      variant: Name of the audio variant, a key of AUDIO_VARIANTS.
      amounts: Strengths of the augmentations.
      rng: Generator that noise is drawn from; only the variant "noise" uses it.

    Returns:
      float32 [m], with m = round(n / amounts.stretch_factor) for "time_stretch", else m = n.

    Raises:
      UserError: If `variant` is unknown.
    """
    if variant not in AUDIO_VARIANTS:
        raise errors.unknown("audio variant", variant, AUDIO_VARIANTS)
    return AUDIO_VARIANTS[variant](samples, rate, amounts, rng)


# Name of an audio variant -> function (samples, rate, amounts, rng) -> samples. The order matches
# the TFDS feature `audio_variant` (ClassLabel). Views 0, 1 and 2 of a clip use the first three.
AUDIO_VARIANTS: dict[str, Callable[..., np.ndarray]] = {
    "original": lambda samples, rate, amounts, rng: np.asarray(samples, np.float32),
    "noise": lambda samples, rate, amounts, rng: add_noise(samples, amounts.noise_snr_db, rng),
    "pitch_shift": lambda samples, rate, amounts, rng: shift_pitch(
        samples, rate, amounts.pitch_semitones
    ),
    "time_shift": lambda samples, rate, amounts, rng: shift_time(
        samples, rate, amounts.shift_seconds
    ),
    "time_stretch": lambda samples, rate, amounts, rng: stretch_time(
        samples, amounts.stretch_factor
    ),
}
