"""Log-mel spectrogram of a waveform, and the image of it that networks see."""

import cv2
import librosa
import numpy as np

# librosa's defaults, which the paper used.
RATE = 22050
BANDS = 128
WINDOW = 2048
RANGE_DB = 80.0
# The power below which librosa sees silence.
_FLOOR = 1e-10


def log_mel(samples: np.ndarray, rate: int = RATE, bands: int = BANDS) -> np.ndarray:
    """The mel spectrogram in decibels below its loudest point.

    librosa.power_to_db(librosa.feature.melspectrogram(...), ref=np.max), made total: silence gives
    the lowest value everywhere, and audio shorter than a window is padded with it.

    Args:
      samples: float [n] in -1..1.
      rate: samples a second.
      bands: number of mel bands between 0 Hz and half the rate.

    Returns:
      float32 [bands, 1 + n // 512], -80..0 dB, lowest frequencies in row 0.
    """
    samples = np.asarray(samples, np.float32)
    if len(samples) < WINDOW:
        samples = np.pad(samples, (0, WINDOW - len(samples)))
    return below_peak(
        librosa.feature.melspectrogram(y=samples, sr=rate, n_fft=WINDOW, n_mels=bands)
    )


def below_peak(power: np.ndarray) -> np.ndarray:
    """Power in decibels below its loudest point, float32, -80..0; silence is -80 everywhere."""
    # All at the floor would come out as "as loud as it gets" everywhere.
    if power.max() <= _FLOOR:
        return np.full(power.shape, -RANGE_DB, np.float32)
    return librosa.power_to_db(power, ref=np.max, amin=_FLOOR, top_db=RANGE_DB)


def mel_image(samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """The spectrogram as a square gray image.

    Args:
      samples: float [n] in -1..1.
      rate: samples a second.
      size: side of the image; the whole duration is fitted to its width.

    Returns:
      uint8 [size, size, 1]: -80..0 dB as 0..255, low frequencies in the bottom row, time to the
      right.
    """
    image = resized(log_mel(samples, rate)[::-1], size)
    gray = np.round((image + RANGE_DB) * (255 / RANGE_DB)).clip(0, 255)
    return gray.astype(np.uint8)[..., None]


# Of `mel_level_image`. RAVDESS's speech takes up to 3 s without its silences, in 30 dB of loudness.
LEVEL_SECONDS = 2.5
LOWEST_DB, HIGHEST_DB = -70.0, 30.0


def mel_level_image(samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """The spectrogram of the loudest part, with how loud and how fast it is.

    `mel_image` is the paper's: each waveform is scaled to its own peak, and its whole duration fitted
    to the image. Here all images share one scale of levels and one of time.

    Args:
      samples: float [n] in -1..1.
      rate: samples a second.
      size: side of the image.

    Returns:
      uint8 [size, size, 1]: -70..30 dB of librosa's mel power as 0..255, low frequencies in the
      bottom row; LEVEL_SECONDS around the center of the audio's energy, silence beyond its ends.
    """
    samples = np.asarray(samples, np.float32)
    length = round(LEVEL_SECONDS * rate)
    energy = samples.astype(np.float64) ** 2
    total = energy.sum()
    center = (energy * np.arange(len(samples))).sum() / total if total else len(samples) / 2
    padded = np.pad(samples, length)
    start = round(center) + length - length // 2
    heard = padded[start : start + length]
    power = librosa.feature.melspectrogram(y=heard, sr=rate, n_fft=WINDOW, n_mels=BANDS)
    level = librosa.power_to_db(power, ref=1.0, amin=_FLOOR, top_db=None)
    share = (resized(level[::-1], size) - LOWEST_DB) / (HIGHEST_DB - LOWEST_DB)
    return np.round(share * 255).clip(0, 255).astype(np.uint8)[..., None]


def resized(image: np.ndarray, size: int, height: int | None = None) -> np.ndarray:
    """Resizes float32 [h, w] to [height or size, size], each axis by itself.

    Averages where it shrinks, interpolates where it grows.
    """
    final = size if height is None else height
    for width, height in ((size, image.shape[0]), (size, final)):
        shrinks = width < image.shape[1] or height < image.shape[0]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        image = cv2.resize(image, (width, height), interpolation=how)
    return image
