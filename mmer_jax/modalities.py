"""The modalities, as data: other code iterates over them and never branches on a name."""

import dataclasses
from collections.abc import Iterable

from mmer_jax import errors


@dataclasses.dataclass(frozen=True)
class Modality:
    """One input of a network.

    Attributes:
      name: Name of its TFDS feature, of its file in a pack and of its tower.
      channels: Number of channels: 3 for RGB, 1 for grayscale.
      stream: Stream of the recording that it is computed from, "video" or "audio". Modalities of
        the audio stream change with the audio variant.
      title: Name in tables and figures.
      reading: How to read its images, for the report.
      shows_direction: Whether its colors encode directions. The report then shows a color wheel
        next to its images.
      is_photograph: Whether its images are camera images, which can be blurred, darkened or
        occluded.
    """

    name: str
    channels: int
    stream: str
    title: str
    reading: str
    shows_direction: bool = False
    is_photograph: bool = False


# In the order in which intermediate fusion concatenates the towers (figure 8: face, flow, mel).
MODALITIES = {
    m.name: m
    for m in (
        Modality("face", 3, "video", "face frames", "the crop around the face", is_photograph=True),
        Modality(
            "flow",
            3,
            "video",
            "optical flow",
            "color is the direction of motion, brightness its speed",
            shows_direction=True,
        ),
        Modality(
            "mel",
            1,
            "audio",
            "mel spectrogram",
            "time runs to the right, low frequencies at the bottom, brighter is louder",
        ),
        Modality(
            "mel_level",
            1,
            "audio",
            "mel spectrogram with level",
            "like the mel spectrogram, but with one loudness scale and one time scale for all "
            "recordings",
        ),
        # The other representations of a waveform in section 7.2, and all six as the paper
        # plotted them.
        *(
            Modality(name, 1, "audio", title, f"time runs to the right; {reading}")
            for name, title, reading in (
                ("waveform", "waveform", "white from the lowest to the highest sample"),
                ("spectral_centroid", "spectral centroid", "white up to the centroid in Hz"),
                ("spectral_bandwidth", "spectral bandwidth", "white up to the bandwidth in Hz"),
                ("chromagram", "chromagram", "one band per pitch class, C at the bottom"),
                ("spectrogram", "spectrogram", "linear frequency, low at the bottom, in dB"),
            )
        ),
        *(
            Modality(f"{name}_plot", 3, "audio", f"{title}, plotted", "a plot without axes")
            for name, title in (
                ("waveform", "waveform"),
                ("spectral_centroid", "spectral centroid"),
                ("spectral_bandwidth", "spectral bandwidth"),
                ("chromagram", "chromagram"),
                ("spectrogram", "spectrogram"),
                ("mel", "mel spectrogram"),
            )
        ),
    )
}


def register(modality: Modality) -> Modality:
    """Registers a modality, last in the order in which towers are concatenated; returns it.

    A modality of the stream "audio" also needs a function that computes its image from a waveform:
    see media.representations.register.

    Raises:
      ValueError: Another modality has the name.
    """
    if MODALITIES.get(modality.name, modality) != modality:
        raise ValueError(f"the modality name {modality.name!r} is taken")
    MODALITIES[modality.name] = modality
    return modality


def get(names: Iterable[str]) -> tuple[Modality, ...]:
    """Returns the named modalities in the order in which their towers are concatenated.

    Args:
      names: Distinct keys of MODALITIES, in any order.

    Raises:
      UserError: If a name is unknown or repeated, or if there is none.
    """
    names = list(names)
    for name in names:
        if name not in MODALITIES:
            raise errors.unknown("modality", name, MODALITIES)
    if not names or len(set(names)) != len(names):
        raise errors.UserError(f"expected one or more different modalities, found {names}")
    return tuple(m for m in MODALITIES.values() if m.name in names)
