"""Emotional expression: face and voice controls over the time of a clip.

Faces follow the action units that EMFACS (Ekman and Friesen) assigns to each emotion. Voices follow
the tendencies in the review of Juslin and Laukka (2003, "Communication of emotions in vocal
expression and music performance"). The expression in a clip is the prototype of the emotion times
an amplitude, blended with a second emotion and perturbed by noise. Amplitude, second emotion and
noise are drawn independently for face and voice, so that a clip may have an expressive face and a
neutral voice, or the reverse.
"""

import dataclasses

import numpy as np

from mmer_jax.synthetic.actor import Actor, make_rng
from mmer_jax.synthetic.speech import Syllable, lip_motion, plan_syllables
from mmer_jax.synthetic.voice import VoiceStyle

# Controls of a face. 0 is the neutral position, about 1 the strongest natural expression.
CONTROLS = (
    "brow_inner",  # inner ends up (+) or down (-)
    "brow_outer",  # outer ends up (+) or down (-)
    "brow_knit",  # inner ends together
    "lid_upper",  # eyes wide (+) or drooping (-)
    "lid_lower",  # lower lids tense
    "nose_wrinkle",
    "cheek",  # cheeks raised
    "lip_corner",  # corners up (+) or down (-)
    "lip_stretch",  # mouth wide (+) or narrow (-)
    "lip_upper",  # upper lip raised
    "lip_press",  # lips pressed together
    "jaw",  # jaw dropped
    "gaze",  # looking up (+) or down (-)
    "yaw",  # head turned to the image's right (+)
    "pitch",  # head bowed (+) or raised (-)
    "roll",  # head tilted clockwise (+)
    "lean",  # towards (+) or away from (-) the camera
)
_INDEX = {name: i for i, name in enumerate(CONTROLS)}

# Emotion -> prototype of the face: control -> value; 0 for the other controls.
FACES: dict[str, dict[str, float]] = {
    "neutral": {},
    "calm": {"lip_corner": 0.30, "lid_upper": -0.25, "brow_outer": 0.10},
    "happiness": {
        "lip_corner": 1.0, "lip_stretch": 0.6, "cheek": 1.0, "lid_lower": 0.6, "lip_upper": 0.25,
        "brow_outer": 0.15, "jaw": 0.15, "pitch": -0.15,
    },
    "sadness": {
        "brow_inner": 0.9, "brow_outer": -0.55, "brow_knit": 0.5, "lid_upper": -0.55,
        "lip_corner": -0.9, "lip_stretch": -0.25, "gaze": -0.9, "pitch": 1.0, "lean": -0.2,
    },
    "anger": {
        "brow_inner": -1.0, "brow_outer": 0.15, "brow_knit": 1.0, "lid_upper": 0.35,
        "lid_lower": 0.55, "lip_press": 1.0, "lip_stretch": 0.0, "lip_corner": -0.25,
        "pitch": 0.35, "lean": 0.8,
    },
    "fear": {
        "brow_inner": 0.9, "brow_outer": 0.45, "brow_knit": 0.7, "lid_upper": 1.0,
        "lid_lower": 0.2, "lip_stretch": 0.9, "lip_corner": -0.3, "jaw": 0.6, "lean": -0.8,
        "pitch": -0.3,
    },
    "disgust": {
        "nose_wrinkle": 1.0, "lip_upper": 1.0, "brow_inner": -0.55, "brow_outer": -0.25,
        "brow_knit": 0.3, "lid_upper": -0.5, "lid_lower": 0.5, "cheek": 0.4, "lip_corner": -0.5,
        "roll": 0.5, "yaw": 0.5, "pitch": -0.3,
    },
    "surprise": {
        "brow_inner": 1.0, "brow_outer": 1.0, "lid_upper": 0.9, "jaw": 0.9, "lip_stretch": -0.4,
        "pitch": -0.3,
    },
}  # fmt: skip

# Emotion -> prototype of the voice.
VOICES: dict[str, VoiceStyle] = {
    "neutral": VoiceStyle(),
    "calm": VoiceStyle(pitch=-1, span=-0.4, tempo=-0.2, energy=-0.3, tension=-0.5, breath=0.3),
    "happiness": VoiceStyle(
        pitch=6, span=1.3, tempo=-0.05, energy=0.5, tension=0.1, breath=-0.1, smile=1.4, ending=5
    ),
    "sadness": VoiceStyle(
        pitch=-1, span=-1.0, tempo=-0.35, energy=-0.8, tension=-1.4, breath=0.5, tremor=0.4,
        smile=-0.4, ending=-1.5, staccato=-0.8,
    ),
    "anger": VoiceStyle(
        pitch=2, span=0.4, tempo=0.30, energy=1.0, tension=1.6, breath=-0.3, smile=-0.3, ending=-3,
        staccato=0.9,
    ),
    "fear": VoiceStyle(
        pitch=9, span=-0.5, tempo=0.40, energy=-0.1, tension=-0.1, breath=1.2, tremor=1.0, ending=1
    ),
    "disgust": VoiceStyle(
        pitch=-4, span=0.3, tempo=-0.15, energy=0.1, tension=0.6, creak=1.0, smile=-2.0, ending=-2,
        staccato=0.2,
    ),
    "surprise": VoiceStyle(
        pitch=7, span=1.1, tempo=0.0, energy=0.4, tension=0.2, breath=0.2, ending=6
    ),
}  # fmt: skip

# Emotion -> head motion while speaking: amplitudes of nod, sway and tremble in units of the head
# controls, and pace of the sway in Hz.
_MOVES: dict[str, dict[str, float]] = {
    "neutral": {"nod": 0.12, "sway": 0.10, "pace": 0.7, "tremble": 0.0},
    "calm": {"nod": 0.08, "sway": 0.12, "pace": 0.5, "tremble": 0.0},
    "happiness": {"nod": 0.30, "sway": 0.32, "pace": 1.3, "tremble": 0.0},
    "sadness": {"nod": 0.05, "sway": 0.10, "pace": 0.4, "tremble": 0.0},
    "anger": {"nod": 0.55, "sway": 0.12, "pace": 1.4, "tremble": 0.02},
    "fear": {"nod": 0.10, "sway": 0.10, "pace": 1.0, "tremble": 0.10},
    "disgust": {"nod": 0.12, "sway": 0.25, "pace": 0.6, "tremble": 0.0},
    "surprise": {"nod": 0.20, "sway": 0.12, "pace": 1.0, "tremble": 0.0},
}

EMOTIONS = tuple(FACES)
AMPLITUDES = {"normal": 0.85, "strong": 1.15}  # intensity -> mean factor on the prototypes


@dataclasses.dataclass(frozen=True)
class Performance:
    """The controls of a clip, from which video and audio are rendered.

    Attributes:
      times: float [n], time of each frame in seconds.
      controls: float [n, len(CONTROLS)], face controls.
      opening: float [n] in 0..1, opening of the lips while speaking.
      rounding: float [n] in 0..1, rounding of the lips while speaking.
      blink: float [n] in 0..1, closing of the eyelids; 1 is closed.
      syllables: Syllables with their times.
      style: Prosody and voice quality.
      room_noise_db: Level of the background noise relative to a neutral voice, in dB.
    """

    times: np.ndarray
    controls: np.ndarray
    opening: np.ndarray
    rounding: np.ndarray
    blink: np.ndarray
    syllables: list[Syllable]
    style: VoiceStyle
    room_noise_db: float

    def frame(self, i: int) -> dict[str, float]:
        """Returns the controls of frame i: name -> value.

        The names are CONTROLS, 'opening', 'rounding' and 'blink'.
        """
        values = dict(zip(CONTROLS, self.controls[i].tolist(), strict=True))
        values["opening"] = float(self.opening[i])
        values["rounding"] = float(self.rounding[i])
        values["blink"] = float(self.blink[i])
        return values


def _vector(emotion: str) -> np.ndarray:
    return np.array([FACES[emotion].get(name, 0.0) for name in CONTROLS])


def _amplitude(intensity: str, variation: float, rng: np.random.Generator) -> float:
    """Draws the amplitude of an expression, the factor on the prototype, in 0..1.5.

    Args:
      intensity: Key of AMPLITUDES.
      variation: Scale of the differences between clips.
      rng: Random generator.
    """
    spread = float(np.clip(rng.standard_normal(), -2.2, 2.2))
    return float(np.clip(AMPLITUDES[intensity] * (1 + 0.24 * variation * spread), 0.0, 1.5))


def _other(emotion: str, rng: np.random.Generator) -> str:
    """Draws one of the other emotions."""
    return str(rng.choice([name for name in EMOTIONS if name != emotion]))


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _course(times: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Computes the time course of an expression: onset, apex and offset.

    Args:
      times: float [n], in seconds.
      seconds: Duration of the clip in seconds.
      rng: Generator for the times of onset and offset.

    Returns:
      float [n] in 0..1, factor on the expression at each time; near 0 at the start.
    """
    onset = seconds * float(rng.uniform(0.0, 0.05))
    rise = seconds * float(rng.uniform(0.12, 0.25))
    fall = seconds * float(rng.uniform(0.75, 0.9))
    remaining = float(rng.uniform(0.65, 1.0))
    decay = _smoothstep((times - fall) / (0.25 * seconds))
    return _smoothstep((times - onset) / rise) * (1 - (1 - remaining) * decay)


def _blend_styles(a: VoiceStyle, b: VoiceStyle, weight: float) -> np.ndarray:
    """Interpolates from a (weight 0) to b (weight 1), float [fields of VoiceStyle]."""
    first, second = (np.array(dataclasses.astuple(s)) for s in (a, b))
    return (1 - weight) * first + weight * second


def _style(
    emotion: str, intensity: str, actor: Actor, variation: float, rng: np.random.Generator
) -> VoiceStyle:
    weight = float(np.clip(abs(0.15 * variation * rng.standard_normal()), 0, 0.6))
    style = _blend_styles(VOICES[emotion], VOICES[_other(emotion, rng)], weight)
    style = style * _amplitude(intensity, variation, rng)
    #         pitch span tempo energy tension breath tremor creak smile ending staccato
    spreads = [1.0, 0.20, 0.06, 0.20, 0.20, 0.10, 0.08, 0.08, 0.3, 0.8, 0.15]
    style = style + variation * np.array(spreads) * rng.standard_normal(len(spreads))
    style = VoiceStyle(*map(float, style))
    return dataclasses.replace(style, tempo=style.tempo + actor.tempo)


def _head_motion(
    moves: dict[str, float],
    syllables: list[Syllable],
    times: np.ndarray,
    variation: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Computes the head motion while speaking: sway, tremble, and nods at stressed syllables.

    Args:
      moves: Value of _MOVES for the emotion.
      syllables: Syllables with their times in seconds.
      times: float [n], time of each frame in seconds.
      variation: Scale of the differences between clips.
      rng: Random generator.

    Returns:
      float [n, len(CONTROLS)], to be added to the controls.
    """
    out = np.zeros((len(times), len(CONTROLS)))
    for name, scale in (("yaw", 1.0), ("roll", 0.6), ("pitch", 0.5), ("lean", 0.3)):
        pace = moves["pace"] * float(rng.uniform(0.6, 1.5))
        amplitude = moves["sway"] * scale * float(rng.uniform(0.4, 1.6)) + 0.06 * variation
        phase = float(rng.uniform(0, 2 * np.pi))
        wave = np.sin(2 * np.pi * pace * times + phase) - np.sin(phase)
        tremble = moves["tremble"] * scale * rng.standard_normal(len(times))
        out[:, _INDEX[name]] = amplitude * wave + tremble
    nod = moves["nod"] * float(rng.uniform(0.5, 1.5))
    for s in syllables:
        beat = np.exp(-0.5 * ((times - s.start - 0.06) / 0.06) ** 2)
        out[:, _INDEX["pitch"]] += nod * max(s.stress - 0.5, 0) * beat
    return out


def perform(
    seed: int,
    name: str,
    actor: Actor,
    emotion: str,
    intensity: str,
    statement: int,
    *,
    seconds: float,
    fps: float,
    variation: float,
) -> Performance:
    """Computes the face and voice controls of a clip.

    Args:
      seed: Seed of all clips.
      name: Name of the clip. All random draws depend only on `seed` and `name`.
      actor: The actor.
      emotion: Key of FACES and VOICES.
      intensity: Key of AMPLITUDES: "normal" or "strong".
      statement: 1 or 2 (see speech.STATEMENTS).
      seconds: Duration of the clip in seconds.
      fps: Frames per second.
      variation: Scale of the differences between clips. With 0, all clips of an (actor, emotion,
        intensity) have the same expression except for timing and head motion. Higher values make
        the emotions harder to recognize; 1 is the default of the renderers.
    """
    face_rng = make_rng(seed, name, "face")
    voice_rng = make_rng(seed, name, "voice style")
    times = np.arange(max(round(seconds * fps), 2)) / fps
    style = _style(emotion, intensity, actor, variation, voice_rng)
    syllables = plan_syllables(statement, seconds, style.tempo, voice_rng)
    opening, rounding = lip_motion(syllables, times)

    weight = float(np.clip(abs(0.18 * variation * face_rng.standard_normal()), 0, 0.6))
    face = (1 - weight) * _vector(emotion) + weight * _vector(_other(emotion, face_rng))
    face = face * actor.gains * _amplitude(intensity, variation, face_rng)
    face = face + 0.11 * variation * face_rng.standard_normal(len(face))
    course = _course(times, seconds, face_rng)
    controls = actor.rest + course[:, None] * face
    controls[:, _INDEX["yaw"]] *= 1 if face_rng.random() < 0.5 else -1
    controls += _head_motion(_MOVES[emotion], syllables, times, variation, face_rng)

    blink = np.zeros(len(times))
    if face_rng.random() < 0.6:
        center = float(face_rng.uniform(0.1, 0.9)) * seconds
        blink = np.exp(-0.5 * ((times - center) / 0.055) ** 2)
    return Performance(
        times=times,
        controls=controls,
        opening=opening * float(face_rng.uniform(0.8, 1.1)),
        rounding=rounding,
        blink=blink,
        syllables=syllables,
        style=style,
        room_noise_db=float(voice_rng.uniform(-42, -28)),
    )
