"""Tests of parsing RAVDESS file names."""

import pytest

from mmer_jax import errors
from mmer_jax.corpora.ravdess import Take, parse_name


def test_example_from_the_dataset_description():
    # https://zenodo.org/records/1188976: "02-01-06-01-02-01-12.mp4": video-only, speech, fearful,
    # normal intensity, statement "dogs", first repetition, twelfth actor, female.
    assert parse_name("02-01-06-01-02-01-12") == Take(
        channel="video_only",
        vocal_channel="speech",
        emotion="fear",
        intensity="normal",
        statement=2,
        repetition=1,
        subject="actor_12",
        gender="female",
    )


def test_all_speech_names_are_parsed():
    names = [
        f"03-01-{e:02d}-{i:02d}-{s:02d}-{r:02d}-{a:02d}"
        for e in range(1, 9)
        for i in ((1, 2) if e > 1 else (1,))
        for s in (1, 2)
        for r in (1, 2)
        for a in range(1, 25)
    ]
    takes = [parse_name(name) for name in names]
    assert len(set(takes)) == 1440  # the number in the dataset description
    assert sum(take.gender == "male" for take in takes) == 720


@pytest.mark.parametrize(
    "name",
    [
        "holiday",
        "",
        "01-01-05-02-01-02",
        "01-01-05-02-01-02-07-01",
        "01-01-09-02-01-02-07",
        "04-01-05-02-01-02-07",
        "01-01-05-02-01-02-25",
        "01-01-05-02-01-02-00",
        "01-01-05-02-03-02-07",
        "01-01-05-02-01-02-07 copy",
        "1-1-5-2-1-2-7",
        "01-01-05-02-01-02-07\n",
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(errors.ClipError) as raised:
        parse_name(name)
    assert raised.value.kind == "bad name"
