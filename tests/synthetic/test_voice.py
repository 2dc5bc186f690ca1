"""Tests of the synthesized voice, measured with librosa."""

import librosa
import numpy as np
import pytest
from scipy.linalg import solve_toeplitz

from mmer_jax.synthetic import expression, voice
from mmer_jax.synthetic.actor import make_actor, make_rng

SECONDS = 1.4


def speak(actor_number, emotion, variation, name="clip"):
    """Returns the waveform of a sentence, float32 [n], and its performance."""
    actor = make_actor(0, actor_number, len(expression.CONTROLS))
    intensity = "normal" if emotion == "neutral" else "strong"
    performance = expression.perform(
        0, name, actor, emotion, intensity, 1, seconds=SECONDS, fps=15, variation=variation
    )
    rng = make_rng(0, name, "voice")
    waveform = voice.synthesize(performance.syllables, performance.style, actor, SECONDS, rng)
    return waveform, performance


def median_pitch(waveform, actor_number):
    """Returns the median pitch in Hz over the louder half of the audio."""
    low = 55 if actor_number % 2 else 90
    pitch = librosa.yin(waveform, fmin=low, fmax=650, sr=voice.RATE, frame_length=2048)
    level = librosa.feature.rms(y=waveform, frame_length=2048)[0]
    return float(np.median(pitch[level > np.median(level)]))


@pytest.fixture(scope="module")
def pitches():
    """Emotion -> pitch in semitones above the actor's own, the median over actors and takes."""
    pitches = {}
    for emotion in ("neutral", "anger", "disgust", "fear", "happiness", "sadness"):
        semitones = []
        for number in (1, 2, 3, 4):
            for take in "ab":
                waveform, _ = speak(number, emotion, 0.0, f"{emotion}{take}")
                base = make_actor(0, number, len(expression.CONTROLS)).pitch
                semitones.append(12 * np.log2(median_pitch(waveform, number) / base))
        pitches[emotion] = np.median(semitones)
    return pitches


def test_pitch_follows_the_emotion(pitches):
    order = sorted(pitches, key=pitches.get)
    assert order.index("fear") > order.index("anger") > order.index("neutral"), pitches
    assert order.index("happiness") > order.index("neutral"), pitches
    assert order.index("sadness") < order.index("anger"), pitches
    assert pitches["fear"] - pitches["sadness"] > 5, pitches


def test_female_voices_are_higher_than_male_ones():
    male, female = (median_pitch(speak(n, "neutral", 0.0)[0], n) for n in (1, 2))
    assert 70 < male < 160 < female < 300


def test_anger_is_brighter_louder_and_faster_than_sadness():
    (angry, anger), (sad, sadness) = (speak(1, name, 0.0) for name in ("anger", "sadness"))
    angry_centroid, sad_centroid = (
        librosa.feature.spectral_centroid(y=waveform, sr=voice.RATE).mean()
        for waveform in (angry, sad)
    )
    assert angry_centroid > 1.3 * sad_centroid
    assert np.sqrt(np.mean(angry**2)) > 1.5 * np.sqrt(np.mean(sad**2))
    durations = [p.syllables[-1].end - p.syllables[0].start for p in (anger, sadness)]
    assert durations[0] < 0.85 * durations[1]


def test_vowel_has_its_formants():
    """A long AA of a male voice has the formants of Peterson and Barney's measurements."""
    actor = make_actor(0, 1, len(expression.CONTROLS))
    syllable = voice.Syllable(0.05, 0.95, "", "AA", "AA", "", 1.0)
    waveform = voice.synthesize(
        [syllable], voice.VoiceStyle(), actor, 1.0, np.random.default_rng(0)
    )
    middle = waveform[6000:18000]
    flat = middle[1:] - 0.95 * middle[:-1]  # pre-emphasis against the tilt of the source
    order = 24
    autocorrelation = np.array([flat[: len(flat) - k] @ flat[k:] for k in range(order + 1)])
    predictor = solve_toeplitz(autocorrelation[:-1], autocorrelation[1:])  # linear prediction
    roots = np.roots([1, *-predictor])
    roots = roots[(roots.imag > 0) & (np.abs(roots) > 0.9)]
    peaks = np.sort(np.angle(roots)) * voice.RATE / (2 * np.pi)
    for expected in (730, 1090, 2440):
        assert np.min(np.abs(peaks / (expected * actor.formant_scale) - 1)) < 0.12, peaks


def test_voices_vary_from_take_to_take():
    first, repeated, other = (speak(1, "fear", 1.0, name)[0] for name in ("x", "x", "y"))
    np.testing.assert_array_equal(first, repeated)
    assert np.abs(first - other).max() > 0.05
    assert first.dtype == np.float32 and len(first) == round(SECONDS * voice.RATE)
