"""Log-mel spectrograms of waveforms, and the images of spectrograms that networks get as inputs."""

import cv2
import librosa
import numpy as np

# librosa's defaults, which the paper used: sampling rate in Hz, number of mel bands, STFT window in
# samples, dynamic range in dB.
RATE = 22050
BANDS = 128
WINDOW = 2048
RANGE_DB = 80.0
# librosa's `amin`: powers are clipped to it before the logarithm is taken.
_FLOOR = 1e-10


def log_mel(samples: np.ndarray, rate: int = RATE, bands: int = BANDS) -> np.ndarray:
    """Computes the mel spectrogram in decibels relative to its maximum.

    The result is librosa.power_to_db(librosa.feature.melspectrogram(...), ref=np.max), except that
    silence gives the lowest value everywhere, and audio shorter than a window is padded with
    silence.

    Args:
      samples: float [n] in -1..1.
      rate: Sampling rate in Hz.
      bands: Number of mel bands between 0 Hz and half the rate.

    Returns:
      float32 [bands, 1 + n // 512], -80..0 dB, lowest frequencies at index 0.
    """
    samples = np.asarray(samples, np.float32)
    if len(samples) < WINDOW:
        samples = np.pad(samples, (0, WINDOW - len(samples)))
    return power_to_relative_db(
        librosa.feature.melspectrogram(y=samples, sr=rate, n_fft=WINDOW, n_mels=bands)
    )


def power_to_relative_db(power: np.ndarray) -> np.ndarray:
    """Converts power to decibels relative to its maximum.

    Args:
      power: Power, float array of any shape.

    Returns:
      float32 of the same shape, -80..0 dB; -80 everywhere for silence.
    """
    # With ref=np.max, librosa would map silence to 0 dB, its maximum, everywhere.
    if power.max() <= _FLOOR:
        return np.full(power.shape, -RANGE_DB, np.float32)
    return librosa.power_to_db(power, ref=np.max, amin=_FLOOR, top_db=RANGE_DB)


def mel_image(samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """Computes the log-mel spectrogram as a square grayscale image.

    Args:
      samples: float [n] in -1..1.
      rate: Sampling rate in Hz.
      size: Side of the image in pixels; the whole duration is resized to its width.

    Returns:
      uint8 [size, size, 1]: -80..0 dB as 0..255, low frequencies at the bottom, time to the right.
    """
    image = resize(log_mel(samples, rate)[::-1], size)
    gray = np.round((image + RANGE_DB) * (255 / RANGE_DB)).clip(0, 255)
    return gray.astype(np.uint8)[..., None]


# Time and level scales of `mel_level_image`. RAVDESS speech lasts up to 3 s without leading and
# trailing silence, and its loudness varies over 30 dB.
LEVEL_SECONDS = 2.5
LOWEST_DB, HIGHEST_DB = -70.0, 30.0


def mel_level_image(samples: np.ndarray, rate: int, size: int = 224) -> np.ndarray:
    """Computes a mel spectrogram image that preserves loudness and tempo.

    `mel_image`, the paper's representation, normalizes each waveform to its own peak and resizes
    the whole duration to the width of the image. Here all images share one level scale and one time
    scale.

    Args:
      samples: float [n] in -1..1.
      rate: Sampling rate in Hz.
      size: Side of the image in pixels.

    Returns:
      uint8 [size, size, 1]: -70..30 dB of librosa's mel power as 0..255, low frequencies at the
      bottom, time to the right. The width covers LEVEL_SECONDS around the temporal center of the
      energy, with silence beyond the ends of the recording.
    """
    samples = np.asarray(samples, np.float32)
    length = round(LEVEL_SECONDS * rate)
    energy = samples.astype(np.float64) ** 2
    total = energy.sum()
    center = (energy * np.arange(len(samples))).sum() / total if total else len(samples) / 2
    padded = np.pad(samples, length)
    start = round(center) + length - length // 2
    excerpt = padded[start : start + length]
    power = librosa.feature.melspectrogram(y=excerpt, sr=rate, n_fft=WINDOW, n_mels=BANDS)
    level = librosa.power_to_db(power, ref=1.0, amin=_FLOOR, top_db=None)
    scaled = (resize(level[::-1], size) - LOWEST_DB) / (HIGHEST_DB - LOWEST_DB)
    return np.round(scaled * 255).clip(0, 255).astype(np.uint8)[..., None]


def resize(image: np.ndarray, size: int, height: int | None = None) -> np.ndarray:
    """Resizes an image, first the width and then the height.

    An axis that shrinks is averaged over areas; an axis that grows is interpolated linearly.

    Args:
      image: float32 [h, w].
      size: New width in pixels.
      height: New height in pixels; None for `size`.

    Returns:
      float32 [height, size].
    """
    final_height = size if height is None else height
    for new_width, new_height in ((size, image.shape[0]), (size, final_height)):
        shrinks = new_width < image.shape[1] or new_height < image.shape[0]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        image = cv2.resize(image, (new_width, new_height), interpolation=interpolation)
    return image
