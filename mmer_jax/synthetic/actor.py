"""Rendered actors: the appearance and the voice of a person.

All values are drawn from (seed, actor number), so that an actor is the same person in every clip,
whichever other actors are rendered.
"""

import dataclasses
import hashlib

import numpy as np

# The Monk Skin Tone scale (Ellis Monk and Google, 2022, CC BY 4.0, skintone.google), from very
# light to very dark, sRGB.
SKIN_TONES = (
    (246, 237, 228),
    (243, 231, 219),
    (247, 234, 208),
    (234, 218, 186),
    (215, 189, 150),
    (160, 126, 86),
    (130, 92, 67),
    (96, 65, 52),
    (58, 49, 42),
    (41, 36, 32),
)
# Indices into SKIN_TONES for actors 1, 2, ..., repeated after ten actors. A few consecutive actors
# have light and dark skin, ten cover the scale.
_TONE_ORDER = (4, 8, 1, 6, 3, 9, 0, 7, 5, 2)

_HAIR = ((28, 22, 20), (52, 36, 26), (92, 62, 38), (150, 112, 62), (122, 58, 32), (120, 116, 112))
_IRIS = ((70, 44, 26), (92, 62, 34), (74, 98, 62), (72, 104, 132), (48, 34, 26))
_SHIRTS = ((46, 60, 84), (96, 44, 48), (44, 74, 62), (70, 70, 74), (112, 96, 60), (84, 62, 98))
_WALLS = ((126, 138, 150), (150, 138, 122), (116, 134, 122), (142, 126, 140), (108, 116, 130))


def make_rng(seed: int, *names: object) -> np.random.Generator:
    """Returns a random generator that depends only on the seed and the names.

    Args:
      seed: Seed of all clips.
      names: What the numbers are for, such as the name of a clip and "voice"; each is converted
        with `str`.
    """
    key = "/".join(map(str, (seed, *names))).encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(key).digest()[:16], "little"))


def skin_tone(number: int) -> int:
    """Returns the index into SKIN_TONES, 0 (lightest) to 9 (darkest), of an actor (from 1)."""
    return _TONE_ORDER[(number - 1) % len(_TONE_ORDER)]


@dataclasses.dataclass(frozen=True)
class Actor:
    """A person.

    Lengths and positions are in face units: 1 is half the width of an average face (see face.py for
    the coordinate system). Colors are RGB in 0..255.
    """

    number: int  # from 1
    gender: str  # 'male' (odd numbers) or 'female', as in RAVDESS
    tone: int  # index into SKIN_TONES
    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    hair_style: str  # 'short', 'long', 'bun', 'cropped'
    hair_line: float  # y of the hairline
    iris: tuple[float, float, float]
    lips: tuple[float, float, float]
    shirt: tuple[float, float, float]
    wall: tuple[float, float, float]
    wall_pattern: str  # 'plain', 'stripes', 'shelves'
    beard: float  # 0 none ... 1 full
    width: float
    jaw: float
    chin: float
    eye_size: float
    eye_gap: float
    eye_tilt: float
    brow_thickness: float
    brow_height: float
    nose_width: float
    nose_length: float
    lip_fullness: float
    mouth_width: float
    pitch: float  # median of the speaking voice in Hz
    formant_scale: float  # relative to an adult male's formants: higher for shorter vocal tracts
    breath: float  # breathiness, 0.02..0.12: level of the aspiration noise
    tempo: float  # log2 of the speaking rate relative to the average
    rest: np.ndarray  # float [controls], values of the controls when the face is at rest
    gains: np.ndarray  # float [controls], factor on each control in an expression, around 1


def make_actor(seed: int, number: int, controls: int) -> Actor:
    """Draws the appearance and the voice of an actor.

    Args:
      seed: Seed of all actors.
      number: Number of the actor, from 1.
      controls: Number of face controls, the length of expression.CONTROLS.
    """
    rng = make_rng(seed, "actor", number)
    gender = "male" if number % 2 else "female"
    male = gender == "male"
    tone = skin_tone(number)
    # The swatch is made slightly warmer, and darker to leave headroom for highlights on light skin.
    skin = 219 * (np.array(SKIN_TONES[tone]) / 255) ** 0.85 * (1.06, 0.99, 0.92)
    dark = tone >= 5
    hair_choices = 1 if tone >= 8 else 2 if dark else len(_HAIR)  # hair is darker than the skin
    hair = np.array(_HAIR[rng.integers(hair_choices)], float)
    reddish = np.array([0.80, 0.52, 0.52]) if not dark else np.array([0.86, 0.62, 0.64])
    lips = skin * reddish + (np.array([14, 0, 4]) if male else np.array([26, 2, 10]))
    styles = ("short", "cropped", "short", "long") if male else ("long", "bun", "long", "short")

    def around(mean: float, spread: float) -> float:
        return float(mean + spread * np.clip(rng.standard_normal(), -2, 2))

    return Actor(
        number=number,
        gender=gender,
        tone=tone,
        skin=tuple(skin),
        hair=tuple(hair),
        hair_style=styles[rng.integers(len(styles))],
        hair_line=around(-0.92, 0.05),
        iris=_IRIS[4 if dark else rng.integers(len(_IRIS))],
        lips=tuple(lips),
        shirt=_SHIRTS[rng.integers(len(_SHIRTS))],
        wall=_WALLS[rng.integers(len(_WALLS))],
        wall_pattern=("plain", "stripes", "shelves")[rng.integers(3)],
        beard=float(rng.choice([0, 0, 0.35, 0.7])) if male else 0.0,
        width=around(1.0 if male else 0.96, 0.03),
        jaw=around(0.80 if male else 0.70, 0.04),
        chin=around(1.38 if male else 1.32, 0.04),
        eye_size=around(0.225 if male else 0.25, 0.012),
        eye_gap=around(0.43, 0.015),
        eye_tilt=around(0.01, 0.015),
        brow_thickness=around(0.085 if male else 0.058, 0.01),
        brow_height=around(-0.47, 0.02),
        nose_width=around(0.20, 0.02),
        nose_length=around(0.40, 0.03),
        lip_fullness=around(0.085 if male else 0.11, 0.012),
        mouth_width=around(0.37, 0.025),
        pitch=float((118 if male else 205) * 2 ** (rng.uniform(-2.5, 2.5) / 12)),
        formant_scale=around(1.0 if male else 1.16, 0.03),
        breath=float(rng.uniform(0.02, 0.12)),
        tempo=around(0.0, 0.08),
        rest=0.07 * rng.standard_normal(controls),
        gains=np.exp(0.12 * rng.standard_normal(controls)),
    )
