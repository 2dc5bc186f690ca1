"""Speech synthesis: a glottal source and formant filters.

The source is KLGLOTT88 (Klatt and Klatt, 1990, "Analysis, synthesis, and perception of voice
quality variations"). The filters are the cascade of Klatt (1980, "Software for a cascade/parallel
formant synthesizer"), updated every 10 ms.
"""

import dataclasses

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

from mmer_jax.synthetic.actor import Actor
from mmer_jax.synthetic.speech import VOWELS, Syllable

RATE = 24000  # sampling rate in Hz
BLOCK = 240  # samples per update of the formants: 10 ms

# Consonant -> its noise: frequency band in Hz, duration in seconds, amplitude relative to the
# voice.
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
    """Prosody and voice quality of a sentence. All zeros are the neutral voice of the actor.

    Attributes:
      pitch: Pitch in semitones above the median pitch of the actor.
      span: log2 of the pitch range relative to neutral.
      tempo: log2 of the speaking rate relative to neutral.
      energy: Loudness relative to neutral in steps of 6 dB, limited to -1.5..1.5; louder (+) or
        softer (-).
      tension: Voice quality, about -1.5..1.5: pressed and bright (+) or lax and dull (-).
      breath: Breathiness relative to the actor's, about -1..1: more (+) or less (-) aspiration
        noise.
      tremor: Vibrato of the pitch at 5 to 7.5 Hz with an amplitude of 0.9 semitones for a value of
        1, and more jitter. Only values > 0 have an effect.
      creak: Creaky voice: every other glottal pulse is weaker, by 75% for values of 1 and above,
        and the pitch has more jitter. Only values > 0 have an effect.
      smile: Relative shift of the formants in steps of 5%: up by a smile, which shortens the vocal
        tract (+), or down by protruded lips, which lengthen it (-).
      ending: Rise of the pitch (+) or fall (-) at the end of the sentence, in semitones.
      staccato: Articulation, limited to -1..1.2: syllables separated (+) or connected (-).
    """

    pitch: float = 0.0
    span: float = 0.0
    tempo: float = 0.0
    energy: float = 0.0
    tension: float = 0.0
    breath: float = 0.0
    tremor: float = 0.0
    creak: float = 0.0
    smile: float = 0.0
    ending: float = 0.0
    staccato: float = 0.0


def _pitch_contour(
    syllables: list[Syllable],
    style: VoiceStyle,
    actor: Actor,
    times: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Computes the fundamental frequency.

    The contour is the sum, in semitones, of declination, accents, a final rise or fall, tremor and
    jitter.

    Args:
      syllables: Syllables with their times in seconds.
      style: Prosody and voice quality.
      actor: The speaker.
      times: float [n], time of each sample in seconds.
      rng: Generator for accents, tremor and jitter.

    Returns:
      float [n], fundamental frequency in Hz at each time, in 55..620.
    """
    start, end = syllables[0].start, syllables[-1].end
    along = np.clip((times - start) / (end - start), 0, 1)
    semitones = style.pitch + 2.0**style.span * 1.2 * (0.5 - along)
    for s in syllables:
        middle, width = (s.start + s.end) / 2, (s.end - s.start) / 1.8
        accent = 2.2 * s.stress * float(rng.uniform(0.6, 1.4))
        semitones += 2.0**style.span * accent * np.exp(-0.5 * ((times - middle) / width) ** 2)
    semitones += style.ending * np.clip((along - 0.75) / 0.25, 0, 1)
    tremor = float(rng.uniform(5.0, 7.5))  # Hz
    semitones += 0.9 * max(style.tremor, 0) * np.sin(2 * np.pi * tremor * times + rng.uniform(0, 6))
    jitter = lfilter([0.02], [1, -0.98], rng.standard_normal(len(times)))
    semitones += (0.8 + 2.5 * max(style.creak, 0) + 1.5 * max(style.tremor, 0)) * jitter
    return np.clip(actor.pitch * 2.0 ** (semitones / 12), 55, 620)


def _loudness(syllables: list[Syllable], staccato: float, times: np.ndarray) -> np.ndarray:
    """Computes the amplitude of the voice, with one hump per syllable.

    Args:
      syllables: Syllables with their times in seconds.
      staccato: See VoiceStyle.
      times: float [n], time of each sample in seconds.

    Returns:
      float [n] in 0..1.
    """
    level = np.zeros(len(times))
    for s in syllables:
        length = s.end - s.start
        rise = 0.25 if s.onset in ("b", "d", "k", "t", "s") else 0.08
        x = (times - s.start) / length
        hump = np.clip(x / rise, 0, 1) * np.clip((1.05 - x) / 0.25, 0, 1)
        level = np.maximum(level, (0.55 + 0.45 * s.stress) * hump)
    return level**2.0 ** (1.5 * float(np.clip(staccato, -1, 1.2)))


def _formants(syllables: list[Syllable], scale: float, times: np.ndarray) -> np.ndarray:
    """Computes the formant frequencies, interpolated between vowels.

    Args:
      syllables: Syllables with their times in seconds.
      scale: Factor on the formants of an adult male.
      times: float [blocks], time of the center of each block in seconds.

    Returns:
      float [blocks, 5], in Hz, at most 0.46 * RATE.
    """
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
    """Applies the vocal tract: five resonators in cascade, constant in blocks of BLOCK samples.

    Args:
      source: float [blocks * BLOCK], the glottal source.
      formants: float [blocks, 5], center frequencies in Hz.
      widen: Factor on the bandwidths.

    Returns:
      float [blocks * BLOCK], the waveform.
    """
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
        block = slice(i * BLOCK, (i + 1) * BLOCK)
        out[block], state = sosfilt(section, source[block], zi=state)
    return out


def _consonants(syllables: list[Syllable], n: int, rng: np.random.Generator) -> np.ndarray:
    """Computes the noise of the plosives and fricatives.

    Args:
      syllables: Syllables with their times in seconds.
      n: Number of samples.
      rng: Generator for the noise.

    Returns:
      float [n].
    """
    out = np.zeros(n)
    for s in syllables:
        for consonant, start in ((s.onset, s.start), (s.coda, s.end - 0.03)):
            if consonant not in _BURSTS:
                continue
            band, duration, level = _BURSTS[consonant]
            size = int(duration * RATE)
            first = max(int(start * RATE), 0)
            size = min(size, n - first)
            if size < 16:
                continue
            noise = sosfilt(
                butter(2, band, "bandpass", fs=RATE, output="sos"), rng.standard_normal(size)
            )
            out[first : first + size] += level * noise * np.hanning(size)
    return out


def synthesize(
    syllables: list[Syllable],
    style: VoiceStyle,
    actor: Actor,
    seconds: float,
    rng: np.random.Generator,
    room_noise_db: float = -45.0,
) -> np.ndarray:
    """Synthesizes the speech of a clip.

    Args:
      syllables: Syllables with their times in seconds.
      style: Prosody and voice quality.
      actor: The speaker.
      seconds: Duration of the clip in seconds.
      rng: Generator for jitter, accents and noise.
      room_noise_db: Level of the background noise relative to a neutral voice, in dB.

    Returns:
      float32 [round(seconds * RATE)], mono, in -1..1.
    """
    n = round(seconds * RATE)
    blocks = -(-n // BLOCK)
    times = np.arange(blocks * BLOCK) / RATE
    pitch = _pitch_contour(syllables, style, actor, times, rng)
    phase = np.cumsum(pitch) / RATE
    period, within = np.divmod(phase, 1.0)

    # KLGLOTT88: the glottal flow is t^2 - t^3 while the glottis is open, and its derivative excites
    # the vocal tract.
    open_quotient = float(np.clip(0.62 - 0.17 * style.tension + 0.12 * style.breath, 0.35, 0.85))
    x = np.minimum(within / open_quotient, 1.0)
    pulses = np.where(within < open_quotient, 2 * x - 3 * x**2, 0.0)
    creak = float(np.clip(style.creak, 0, 1))
    pulses *= np.where(period % 2 == 1, 1 - 0.75 * creak, 1.0)  # every other pulse is weaker
    cutoff = 1500 * 2.0 ** (1.3 * float(np.clip(style.tension, -1.5, 1.5)))
    pole = np.exp(-2 * np.pi * cutoff / RATE)
    pulses = lfilter([1 - pole], [1, -pole], pulses)
    breath = float(np.clip(actor.breath + 0.30 * style.breath, 0.01, 0.6))
    noise = rng.standard_normal(len(times)) * (0.35 + 0.65 * (within < open_quotient))
    level = _loudness(syllables, style.staccato, times)
    source = level * (pulses + 0.20 * breath * noise)

    scale = actor.formant_scale * (1 + 0.05 * style.smile)
    tract = _formants(syllables, scale, times[::BLOCK] + BLOCK / 2 / RATE)
    waveform = _filter(source, tract, widen=1 + 0.8 * breath)
    # The voice is normalized, so that the spectral tilt of the source does not change the loudness.
    voiced = waveform / (np.sqrt(np.mean(waveform**2)) + 1e-9)
    waveform = voiced + 1.2 * _consonants(syllables, len(voiced), rng)
    gain = 0.09 * 10 ** (6 * float(np.clip(style.energy, -1.5, 1.5)) / 20)
    room = lfilter([0.12], [1, -0.88], rng.standard_normal(len(waveform)))
    room /= np.sqrt(np.mean(room**2))
    waveform = gain * waveform + 0.09 * 10 ** (room_noise_db / 20) * room
    return np.tanh(waveform[:n]).astype(np.float32)  # soft limiter for the peaks of strong anger
