"""Images of noisy audio, made as those of a pack are; what worker processes run."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mmer_jax.datasets import clips
from mmer_jax.media import augment, compiled, corruptions, representations, spectrogram
from mmer_jax.robustness import conditions


@dataclasses.dataclass(frozen=True)
class Heard:
    """A clip's audio, and which versions of it are wanted.

    Attributes:
      clip: its name.
      samples: int16 [n].
      rate: samples a second.
      variants: of media.augment.AUDIO_VARIANTS.
    """

    clip: str
    samples: np.ndarray
    rate: int
    variants: tuple[str, ...]

    def __str__(self) -> str:
        return self.clip


def images(
    heard: Heard,
    *,
    amounts: augment.AudioAmounts,
    corruption: str,
    levels: Sequence[float],
    names: Sequence[str],
) -> dict[tuple[str, str, float], dict[str, np.ndarray]]:
    """The images of a clip's corrupted audio.

    Args:
      heard: the audio. Each version is made first, as when the pack was made; then it is corrupted.
        All levels, and all versions, meet the same noise.
      amounts: how strongly versions are altered.
      corruption: a name in CORRUPTIONS, of the audio.
      levels: of the corruption.
      names: modalities.

    Returns:
      (clip, variant, level) -> modality -> uint8 [clips.SIZE, clips.SIZE, c].
    """
    compiled.compile_librosa()
    waveform, rate = clips.resample(heard.samples, heard.rate), spectrogram.RATE
    apply = corruptions.CORRUPTIONS[corruption].apply
    found = {}
    for variant in heard.variants:
        rng = clips.make_rng(heard.clip, f"audio {variant}")  # as clips.compute_audio_images has it
        varied = augment.vary(waveform, rate, variant, amounts, rng)
        for level in levels:
            worse = apply(varied, level, conditions.random_of(heard.clip, corruption))
            found[heard.clip, variant, level] = {
                name: representations.IMAGES[name](worse, rate, clips.SIZE) for name in names
            }
    return found
