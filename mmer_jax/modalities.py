"""The modalities, as data. Everything else iterates over them; nothing branches on a name."""

import dataclasses

from mmer_jax import errors


@dataclasses.dataclass(frozen=True)
class Modality:
    """One input of a network.

    Attributes:
      name: the name of its TFDS feature, its file in a pack and its tower.
      channels: 3 for RGB, 1 for gray.
      stream: the part of a recording that it comes from, "image" or "audio". Modalities of the
        audio are the ones that an audio variant alters.
      title: how tables and figures call it.
      reading: how its images are to be read, for the report.
      shows_direction: its colors are directions; the report sets a wheel of colors beside it.
      is_photograph: it shows what a camera saw, so that it can be blurred, darkened or covered.
    """

    name: str
    channels: int
    stream: str
    title: str
    reading: str
    shows_direction: bool = False
    is_photograph: bool = False


# The order is the one in which towers are joined (figure 8: face, flow, mel).
MODALITIES = {
    m.name: m
    for m in (
        Modality("face", 3, "image", "face frames", "the crop around the face", is_photograph=True),
        Modality(
            "flow",
            3,
            "image",
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
            "as the mel spectrogram, but all audio on one scale of loudness and of time",
        ),
        # Section 7.2's other images of a waveform, and all six as the paper plotted them.
        *(
            Modality(name, 1, "audio", title, f"time runs to the right; {reading}")
            for name, title, reading in (
                ("waveform", "waveform", "white from the lowest to the highest sample"),
                ("spectral_centroid", "spectral centroid", "white up to the centroid in Hz"),
                ("spectral_bandwidth", "spectral bandwidth", "white up to the bandwidth in Hz"),
                ("chromagram", "chromagram", "one row a pitch class, C at the bottom"),
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


def get(names) -> tuple[Modality, ...]:
    """The named modalities in joining order.

    Raises:
      UserError: for an unknown name, a repeated one, or no name at all.
    """
    names = list(names)
    for name in names:
        if name not in MODALITIES:
            raise errors.unknown("modality", name, MODALITIES)
    if not names or len(set(names)) != len(names):
        raise errors.UserError(f"expected one or more different modalities, found {names}")
    return tuple(m for m in MODALITIES.values() if m.name in names)
