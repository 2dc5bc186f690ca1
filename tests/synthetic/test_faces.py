"""Tests of rendered faces with a face detector and pixel statistics."""

import collections

import numpy as np
import pytest

from mmer_jax.corpora.ravdess import parse_name
from mmer_jax.media import faces
from mmer_jax.media.audio import read_audio
from mmer_jax.media.video import iter_frames, read_frames
from mmer_jax.synthetic import render_ravdess
from mmer_jax.synthetic.actor import SKIN_TONES, make_actor, skin_tone
from mmer_jax.synthetic.expression import CONTROLS


def test_default_detector_finds_the_face_on_every_skin_tone(clips):
    detector = faces.make_detector("haar")
    hits = collections.defaultdict(list)
    for path in clips:
        images = read_frames(path, lambda n: [n // 3, 2 * n // 3]).images
        box = faces.face_square(list(images.values()), detector, margin=0.0)
        left, top, right, bottom = box.box
        centered = abs((left + right) / 2 - 160) < 45 and abs((top + bottom) / 2 - 120) < 50
        hits[skin_tone(int(path.stem[-2:]))].append(box.found and centered and right - left > 80)
    assert set(hits) == set(range(len(SKIN_TONES)))
    rates = {tone: np.mean(values) for tone, values in hits.items()}
    assert min(rates.values()) >= 0.95, rates


def test_eight_actors_have_light_and_dark_skin():
    tones = [skin_tone(number) for number in range(1, 9)]
    assert len(set(tones)) == 8 and min(tones) == 0 and max(tones) == 9


def test_lightness_of_the_skin_follows_its_tone(clips):
    cheek = {}
    for path in clips:
        if parse_name(path.stem).emotion == "sadness":
            image = next(iter_frames(path))[2]
            cheek[skin_tone(int(path.stem[-2:]))] = float(np.median(image[130:150, 120:200]))
    lightness = [cheek[tone] for tone in sorted(cheek)]
    assert np.corrcoef(lightness, range(10))[0, 1] < -0.9
    assert lightness[0] > 150 and lightness[9] < 70


def test_actor_is_reproducible_and_differs_from_others():
    first, repeated, other = (make_actor(4, n, len(CONTROLS)) for n in (3, 3, 5))
    assert first.pitch == repeated.pitch and first.width == repeated.width
    assert first.pitch != other.pitch and first.width != other.width
    assert (first.gender, make_actor(4, 2, 1).gender) == ("male", "female")


def test_face_moves_and_starts_near_the_resting_expression(clips):
    changes = []
    for path in clips[::5]:
        images = np.stack([image for _, _, image in iter_frames(path)]).astype(float)
        face = images[:, 60:200, 100:220]
        changes.append([np.abs(face[k] - face[0]).mean() for k in (1, len(face) // 2)])
    first, middle = np.mean(changes, axis=0)
    assert middle > 2 * first > 0


@pytest.fixture(scope="module")
def neutral_clips(tmp_path_factory):
    """Neutral clips without variation, in which little moves except the lips."""
    return render_ravdess(
        tmp_path_factory.mktemp("neutral"),
        actors=3,
        emotions=("neutral",),
        repetitions=(1,),
        variation=0.0,
        fps=20,
        workers=1,
    )


def test_lips_move_with_the_voice(neutral_clips):
    correlations = []
    for path in neutral_clips:
        waveform, rate = read_audio(path, None)
        closed, opening, loudness = None, [], []
        for _, time, image in iter_frames(path):
            mouth = image[150:200, 130:190].astype(float)
            if closed is None:
                closed = mouth  # the first frame is silent
            opening.append(np.abs(mouth - closed).mean())
            interval = slice(max(round((time - 0.03) * rate), 0), round((time + 0.03) * rate))
            loudness.append(np.sqrt(np.mean(waveform[interval] ** 2)))
        correlations.append(np.corrcoef(opening, loudness)[0, 1])
    assert np.mean(correlations) > 0.5, correlations
