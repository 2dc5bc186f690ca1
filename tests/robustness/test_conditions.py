"""The modalities that a condition alters, and random choices that depend on the clip alone."""

import numpy as np
import pytest

from mmer_jax import errors, modalities
from mmer_jax.robustness import conditions
from mmer_jax.robustness.conditions import UNTOUCHED, Condition

ALL = ("face", "flow", "mel")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (UNTOUCHED, []),
        (Condition("blur", 4.0), ["face"]),  # flow is not computed again
        (Condition("noise", 0.0), ["mel"]),
        (Condition("missing", "flow"), ["flow"]),
        (Condition("missing", "mel_plot"), []),
    ],
)
def test_altered_modalities(condition, expected):
    assert conditions.altered_modalities(condition, ALL) == expected


def test_photographs_are_images_and_noise_alters_every_audio_modality():
    assert all(m.stream == "video" for m in modalities.MODALITIES.values() if m.is_photograph)
    waveforms = [m.name for m in modalities.MODALITIES.values() if m.stream == "audio"]
    assert (
        conditions.altered_modalities(Condition("noise", 0.0), modalities.MODALITIES) == waveforms
    )


def test_conditions_are_those_that_alter_an_input():
    def names(*arguments, **options):
        return [condition.name for condition in conditions.list_conditions(*arguments, **options)]

    assert names(["flow"]) == []
    assert names(["mel"], levels={"noise": [20, 20, 2.5]}) == ["noise-20", "noise-2.5"]
    assert names(["flow", "mel"], ["missing"]) == ["missing-flow", "missing-mel"]
    assert names(["face"], ["darken", "missing"]) == ["darken-50", "darken-75", "darken-90"]
    with pytest.raises(errors.UserError, match=r"unknown corruption 'fog'; known: blur, .*missing"):
        conditions.list_conditions(["face"], ["fog"])


def test_frames_of_a_clip_are_occluded_at_the_same_place():
    images = np.full((4, 32, 32, 3), 200, np.uint8)
    clips = ["01-01-05-02-01-01-01"] * 2 + ["01-01-05-02-01-01-02", "01-01-05-02-01-01-03"]
    covered = conditions.corrupt(Condition("occlude", 10.0), images, clips)
    places = [tuple(np.argwhere(image[..., 0] == 0)[0]) for image in covered]
    assert places[0] == places[1]
    assert len(set(places)) == 3
    assert (images == 200).all()
