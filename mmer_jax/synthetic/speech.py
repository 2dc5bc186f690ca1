"""RAVDESS's two sentences as timed syllables, which drive both the lips and the voice."""

import dataclasses

import numpy as np

# First three formants in Hz of an adult male's vowels: Peterson and Barney (1952), table II.
VOWELS = {
    "IH": (390, 1990, 2550),
    "AA": (730, 1090, 2440),
    "AO": (570, 840, 2410),
    "AH": (640, 1190, 2390),
    "ER": (490, 1350, 1690),
}
# Opening of the mouth (0..1) and rounding of the lips (0..1) for each vowel.
SHAPES = {
    "IH": (0.45, 0.0),
    "AA": (1.0, 0.1),
    "AO": (0.75, 0.8),
    "AH": (0.6, 0.1),
    "ER": (0.4, 0.5),
}
# Number of a statement -> its syllables: (onset consonant, first vowel, last vowel, coda consonant,
# stress in 0..1); "" for no consonant. The vowels of a diphthong differ.
STATEMENTS = {
    1: (  # "Kids are talking by the door"
        ("k", "IH", "IH", "z", 1.0),
        ("", "AA", "ER", "", 0.4),
        ("t", "AO", "AO", "", 1.0),
        ("k", "IH", "IH", "n", 0.4),
        ("b", "AA", "IH", "", 0.6),
        ("d", "AH", "AH", "", 0.3),
        ("d", "AO", "ER", "", 1.0),
    ),
    2: (  # "Dogs are sitting by the door"
        ("d", "AO", "AO", "z", 1.0),
        ("", "AA", "ER", "", 0.4),
        ("s", "IH", "IH", "", 1.0),
        ("t", "IH", "IH", "n", 0.4),
        ("b", "AA", "IH", "", 0.6),
        ("d", "AH", "AH", "", 0.3),
        ("d", "AO", "ER", "", 1.0),
    ),
}


@dataclasses.dataclass(frozen=True)
class Syllable:
    """A syllable of a clip.

    Attributes:
      start: Start time in seconds from the start of the clip.
      end: End time in seconds from the start of the clip.
      onset: Consonant before the vowel; "" for none.
      first: Vowel at the start of the syllable, a key of VOWELS.
      last: Vowel at the end of the syllable, a key of VOWELS.
      coda: Consonant after the vowel; "" for none.
      stress: Stress in 0..1.
    """

    start: float
    end: float
    onset: str
    first: str
    last: str
    coda: str
    stress: float


def plan_syllables(
    statement: int, seconds: float, tempo: float, rng: np.random.Generator
) -> list[Syllable]:
    """Computes the times of the syllables of a statement in a clip.

    Args:
      statement: Key of STATEMENTS: 1 or 2.
      seconds: Duration of the clip in seconds. At tempo 0 about three quarters of it are speech.
      tempo: log2 of the speaking rate relative to the average.
      rng: Generator for the durations of the syllables and the start of the sentence.

    Returns:
      The syllables in the order of time, without gaps.
    """
    words = STATEMENTS[statement]
    lengths = np.array([0.75 + 0.5 * stress for *_, stress in words])
    lengths *= np.exp(0.10 * rng.standard_normal(len(words)))
    lengths[-1] *= 1.25  # phrase-final lengthening
    total = float(np.clip(0.76 * seconds * 2.0**-tempo, 0.45 * seconds, 0.90 * seconds))
    start = (seconds - total) * float(rng.uniform(0.25, 0.6))
    ends = start + total * np.cumsum(lengths) / lengths.sum()
    starts = np.concatenate([[start], ends[:-1]])
    return [
        Syllable(float(a), float(b), *word) for a, b, word in zip(starts, ends, words, strict=True)
    ]


def lip_motion(syllables: list[Syllable], times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes the motion of the lips.

    Args:
      syllables: Syllables with their times.
      times: float [n], in seconds.

    Returns:
      A tuple (opening, rounding): opening and rounding of the lips at each time, each float [n] in
      0..1.
    """
    opening, rounding = np.zeros(len(times)), np.zeros(len(times))
    for s in syllables:
        x = (times - s.start) / (s.end - s.start)
        inside = (x > 0) & (x < 1)
        bump = np.where(inside, np.sin(np.pi * np.clip(x, 0, 1)) ** 0.8, 0.0)
        mix = np.clip(x, 0, 1)
        shape = [(1 - mix) * SHAPES[s.first][i] + mix * SHAPES[s.last][i] for i in (0, 1)]
        opening += bump * shape[0] * (0.6 + 0.4 * s.stress)
        rounding += bump * shape[1]
    return np.clip(opening, 0, 1), np.clip(rounding, 0, 1)
