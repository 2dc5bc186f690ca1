"""The voice: a glottal source through formant filters.

The source is KLGLOTT88 (Klatt and Klatt, 1990, "Analysis, synthesis, and perception of voice
quality variations"), the filters are the cascade of Klatt (1980, "Software for a cascade/parallel
formant synthesizer"), set anew every 10 ms.
"""

import dataclasses

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

from mmer_jax.synthetic.actor import Actor
from mmer_jax.synthetic.speech import VOWELS, Syllable

RATE = 24000  # samples per second
BLOCK = 240  # samples with the same formants: 10 ms

# Noise of a consonant: band in Hz, length in seconds, level.
_BURSTS = {
    "k": ((1500, 4000), 0.030, 0.30),
    "t": ((3000, 8000), 0.028, 0.30),
    "d": ((2500, 6000), 0.016, 0.16),
    "b": ((300, 1500), 0.014, 0.16),
    "s": ((4500, 10500), 0.075, 0.22),
    "z": ((4500, 10500), 0.045, 0.12),
}


@dataclasses.dataclass(frozen=True)
class VoiceStyle:
    """How a sentence is spoken; 0 everywhere is the actor's neutral voice.

    Ranges are about -1..1 except where a unit is named.
    """

    pitch: float = 0.0  # semitones above the actor's median
    span: float = 0.0  # log2 of the width of the intonation relative to neutral
    tempo: float = 0.0  # log2 of the speaking rate relative to neutral
    energy: float = 0.0
    tension: float = 0.0  # pressed, bright (+) or lax, dull (-)
    breath: float = 0.0
    tremor: float = 0.0
    creak: float = 0.0
    smile: float = 0.0  # a smile shortens the vocal tract, lips pushed out lengthen it
    ending: float = 0.0  # semitones that the pitch goes up at the end
    staccato: float = 0.0  # syllables cut apart (+) or run together (-)


def _pitch_contour(
    syllables: list[Syllable],
    style: VoiceStyle,
    actor: Actor,
    times: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Fundamental frequency in Hz at each time: declination, accents, ending, tremor, jitter."""
    start, end = syllables[0].start, syllables[-1].end
    along = np.clip((times - start) / (end - start), 0, 1)
    semitones = style.pitch + 2.0**style.span * 1.2 * (0.5 - along)
    for s in syllables:
        middle, width = (s.start + s.end) / 2, (s.end - s.start) / 1.8
        accent = 2.2 * s.stress * float(rng.uniform(0.6, 1.4))
        semitones += 2.0**style.span * accent * np.exp(-0.5 * ((times - middle) / width) ** 2)
    semitones += style.ending * np.clip((along - 0.75) / 0.25, 0, 1)
    wobble = float(rng.uniform(5.0, 7.5))
    semitones += 0.9 * max(style.tremor, 0) * np.sin(2 * np.pi * wobble * times + rng.uniform(0, 6))
    jitter = lfilter([0.02], [1, -0.98], rng.standard_normal(len(times)))
    semitones += (0.8 + 2.5 * max(style.creak, 0) + 1.5 * max(style.tremor, 0)) * jitter
    return np.clip(actor.pitch * 2.0 ** (semitones / 12), 55, 620)


def _loudness(syllables: list[Syllable], staccato: float, times: np.ndarray) -> np.ndarray:
    """Voicing amplitude in 0..1: a hump for each syllable, a dip for each consonant."""
    level = np.zeros(len(times))
    for s in syllables:
        length = s.end - s.start
        rise = 0.25 if s.onset in ("b", "d", "k", "t", "s") else 0.08
        x = (times - s.start) / length
        hump = np.clip(x / rise, 0, 1) * np.clip((1.05 - x) / 0.25, 0, 1)
        level = np.maximum(level, (0.55 + 0.45 * s.stress) * hump)
    return level**2.0 ** (1.5 * float(np.clip(staccato, -1, 1.2)))


def _formants(syllables: list[Syllable], scale: float, times: np.ndarray) -> np.ndarray:
    """Formant frequencies in Hz, float [n, 5], gliding from vowel to vowel."""
    knots, values = [], []
    for s in syllables:
        length = s.end - s.start
        knots += [s.start + 0.3 * length, s.start + 0.85 * length]
        values += [VOWELS[s.first], VOWELS[s.last] if s.coda != "n" else (300, 1400, 2300)]
    table = np.array(values, float)
    track = np.stack([np.interp(times, knots, table[:, i]) for i in range(3)], axis=1)
    upper = np.broadcast_to(np.array([3500.0, 4500.0]), (len(times), 2))
    return np.minimum(scale * np.concatenate([track, upper], axis=1), 0.46 * RATE)


def _filter(source: np.ndarray, formants: np.ndarray, widen: float) -> np.ndarray:
    """The vocal tract: five resonators in cascade, constant within a block of BLOCK samples."""
    bandwidths = widen * np.array([70.0, 100.0, 140.0, 220.0, 300.0])
    radius = np.exp(-np.pi * bandwidths / RATE)
    b = 2 * radius * np.cos(2 * np.pi * formants / RATE)
    c = np.broadcast_to(-(radius**2), b.shape)
    sections = np.zeros((*b.shape, 6))
    sections[..., 0] = 1 - b - c  # unit gain at 0 Hz
    sections[..., 3] = 1
    sections[..., 4] = -b
    sections[..., 5] = -c
    state = np.zeros((b.shape[1], 2))
    out = np.empty_like(source)
    for i, section in enumerate(sections):
        part = slice(i * BLOCK, (i + 1) * BLOCK)
        out[part], state = sosfilt(section, source[part], zi=state)
    return out


def _consonants(syllables: list[Syllable], n: int, rng: np.random.Generator) -> np.ndarray:
    """Bursts and hisses of the consonants, float [n]."""
    out = np.zeros(n)
    for s in syllables:
        for waveform, at in ((s.onset, s.start), (s.coda, s.end - 0.03)):
            if waveform not in _BURSTS:
                continue
            band, length, level = _BURSTS[waveform]
            size = int(length * RATE)
            first = max(int(at * RATE), 0)
            size = min(size, n - first)
            if size < 16:
                continue
            noise = sosfilt(
                butter(2, band, "bandpass", fs=RATE, output="sos"), rng.standard_normal(size)
            )
            out[first : first + size] += level * noise * np.hanning(size)
    return out


def synthesise(
    syllables: list[Syllable],
    style: VoiceStyle,
    actor: Actor,
    seconds: float,
    rng: np.random.Generator,
    room_noise_db: float = -45.0,
) -> np.ndarray:
    """Speaks the syllables.

    Args:
      syllables: what is said and when.
      style: how it is said.
      actor: whose voice it is.
      seconds: length of the clip.
      rng: jitter, accents and noises are drawn from it.
      room_noise_db: level of the room's noise relative to a neutral voice.

    Returns:
      float32 [seconds * RATE], mono, in -1..1.
    """
    n = round(seconds * RATE)
    blocks = -(-n // BLOCK)
    times = np.arange(blocks * BLOCK) / RATE
    pitch = _pitch_contour(syllables, style, actor, times, rng)
    phase = np.cumsum(pitch) / RATE
    period, within = np.divmod(phase, 1.0)

    # KLGLOTT88: flow t^2 - t^3 while the glottis is open, its derivative excites the tract.
    open_part = float(np.clip(0.62 - 0.17 * style.tension + 0.12 * style.breath, 0.35, 0.85))
    x = np.minimum(within / open_part, 1.0)
    pulses = np.where(within < open_part, 2 * x - 3 * x**2, 0.0)
    creak = float(np.clip(style.creak, 0, 1))
    pulses *= np.where(period % 2 == 1, 1 - 0.75 * creak, 1.0)  # every other pulse is weaker
    cutoff = 1500 * 2.0 ** (1.3 * float(np.clip(style.tension, -1.5, 1.5)))
    pole = np.exp(-2 * np.pi * cutoff / RATE)
    pulses = lfilter([1 - pole], [1, -pole], pulses)
    breath = float(np.clip(actor.breath + 0.30 * style.breath, 0.01, 0.6))
    noise = rng.standard_normal(len(times)) * (0.35 + 0.65 * (within < open_part))
    level = _loudness(syllables, style.staccato, times)
    source = level * (pulses + 0.20 * breath * noise)

    scale = actor.formant_scale * (1 + 0.05 * style.smile)
    tract = _formants(syllables, scale, times[::BLOCK] + BLOCK / 2 / RATE)
    waveform = _filter(source, tract, widen=1 + 0.8 * breath)
    voiced = waveform / (
        np.sqrt(np.mean(waveform**2)) + 1e-9
    )  # the source's tilt does not set loudness
    waveform = voiced + 1.2 * _consonants(syllables, len(voiced), rng)
    loud = 0.09 * 10 ** (6 * float(np.clip(style.energy, -1.5, 1.5)) / 20)
    room = lfilter([0.12], [1, -0.88], rng.standard_normal(len(waveform)))
    room /= np.sqrt(np.mean(room**2))
    waveform = loud * waveform + 0.09 * 10 ** (room_noise_db / 20) * room
    return np.tanh(waveform[:n]).astype(np.float32)  # soft limit: the loudest peaks of strong anger
