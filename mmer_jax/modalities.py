"""The modalities, as data. Everything else iterates over them; nothing branches on a name."""

import dataclasses

from mmer_jax import errors


@dataclasses.dataclass(frozen=True)
class Modality:
    """One input of a network.

    Attributes:
      name: the name of its TFDS feature, its file in a pack and its tower.
      channels: 3 for RGB, 1 for grey.
      stream: the part of a recording that it comes from, "picture" or "sound". Modalities of the
        sound are the ones that an audio variant alters.
      title: how tables and figures call it.
      reading: how its pictures are to be read, for the report.
      shows_direction: its colours are directions; the report sets a wheel of colours beside it.
    """

    name: str
    channels: int
    stream: str
    title: str
    reading: str
    shows_direction: bool = False


# The order is the one in which towers are joined (figure 8: face, flow, mel).
MODALITIES = {
    m.name: m
    for m in (
        Modality("face", 3, "picture", "face frames", "the crop around the face"),
        Modality(
            "flow",
            3,
            "picture",
            "optical flow",
            "colour is the direction of motion, brightness its speed",
            shows_direction=True,
        ),
        Modality(
            "mel",
            1,
            "sound",
            "mel spectrogram",
            "time runs to the right, low frequencies at the bottom, brighter is louder",
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
