"""Layout, names, repetition, resumption and guarding of rendered folders."""

import json

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.cli import render as command
from mmer_jax.corpora.ravdess import parse_name
from mmer_jax.media.audio import is_silent, read_audio
from mmer_jax.media.video import iter_frames
from mmer_jax.synthetic import clip, expression, ravdess, render_ravdess

SMALL = {
    "size": (96, 72),
    "seconds": 0.6,
    "fps": 10,
    "statements": (1,),
    "repetitions": (1,),
    "intensities": ("normal",),
}


def decoded(path):
    """All frames, uint8 [n, h, w, 3], and the audio, float32 [n]."""
    return np.stack([image for _, _, image in iter_frames(path)]), read_audio(path, None)[0]


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(decoded(a), decoded(b), strict=True))


def test_names_say_what_was_asked_for(all_emotions):
    takes = [parse_name(path.stem) for path in all_emotions]
    assert {take.emotion for take in takes} == set(expression.EMOTIONS)
    assert len(takes) == 8
    assert {(t.channel, t.vocal_channel, t.subject) for t in takes} == {
        ("audio_video", "speech", "actor_01")
    }
    assert {path.parent.name for path in all_emotions} == {"Actor_01"}
    assert all(take.statement == 2 for take in takes)


def test_a_whole_actor_has_the_sixty_takes_of_ravdess():
    names = ravdess.clip_names([7], expression.EMOTIONS)
    assert len(names) == len(set(names)) == 60  # 7 emotions x 8 takes, neutral x 4
    assert names == sorted(names)
    assert {parse_name(name).subject for name in names} == {"actor_07"}


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"emotions": ("joy",)}, "happiness"),
        ({"actors": 25}, "24"),
        ({"intensities": ("weak",)}, "strong"),
        ({"emotions": ("neutral",), "intensities": ("strong",)}, "nothing to render"),
        ({"size": (95, 72)}, "even"),
        ({"seconds": 0.1}, "seconds"),
        ({"variation": 9}, "variation"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_written(tmp_path, wrong, word):
    with pytest.raises(errors.UserError, match=word):
        render_ravdess(tmp_path / "clips", **{"actors": 1, "workers": 1, **wrong})
    assert not (tmp_path / "clips").exists()


def test_same_seed_same_clips_whatever_else_is_rendered_and_by_how_many(tmp_path):
    options = {**SMALL, "emotions": ("anger", "fear"), "seed": 5}
    many = render_ravdess(tmp_path / "a", actors=2, workers=2, **options)
    alone = render_ravdess(
        tmp_path / "b", actors=[2], workers=1, **{**options, "emotions": ["fear"]}
    )
    assert len(many) == 4 and len(alone) == 1
    assert same(alone[0], next(path for path in many if path.name == alone[0].name))
    other = render_ravdess(tmp_path / "c", actors=[2], workers=1, **{**options, "seed": 6})
    assert not same(other[1], many[3])
    frames, waveform = decoded(many[0])
    other_frames, other_audio = decoded(many[2])
    assert not np.array_equal(frames, other_frames) and not np.array_equal(waveform, other_audio)


def test_a_killed_render_goes_on_and_keeps_what_is_there(tmp_path, monkeypatch):
    options = {**SMALL, "actors": 1, "emotions": ("anger", "fear", "sadness"), "workers": 1}
    whole = render_ravdess(tmp_path / "whole", **options)
    real, count = clip.write_clip, iter(range(100))

    def dies_in_the_second(path, images, *rest):
        if next(count) == 1:
            path.write_bytes(b"half a clip")
            raise KeyboardInterrupt
        real(path, images, *rest)

    monkeypatch.setattr(clip, "write_clip", dies_in_the_second)
    dest = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        render_ravdess(dest, **options)
    there = sorted(dest.rglob("*.mp4"))
    assert len(there) == 1
    before = there[0].stat().st_mtime_ns
    monkeypatch.undo()
    seen = []
    paths = render_ravdess(dest, progress=lambda done, total: seen.append((done, total)), **options)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert there[0].stat().st_mtime_ns == before
    assert [path.name for path in paths] == [path.name for path in whole]
    assert all(same(a, b) for a, b in zip(paths, whole, strict=True))
    assert {path.name for path in paths[0].parent.iterdir()} == {path.name for path in paths}


def test_other_parameters_do_not_mix_in_silence(tmp_path):
    options = {**SMALL, "actors": 1, "emotions": ("anger",), "workers": 1}
    render_ravdess(tmp_path, **options)
    with pytest.raises(errors.UserError, match=r"seed 0 \(now 1\).*variation 1.0 \(now 0.5\)"):
        render_ravdess(tmp_path, **options, seed=1, variation=0.5)
    render_ravdess(tmp_path, **{**options, "emotions": ("fear",)})  # more clips of the same kind
    (tmp_path / clip.PARAMETERS_FILE).write_text("{")
    with pytest.raises(errors.UserError, match="JSON"):
        render_ravdess(tmp_path, **options)


def test_nothing_is_rendered_among_real_recordings(tmp_path):
    (tmp_path / "Actor_01").mkdir()
    (tmp_path / "Actor_01" / "01-01-05-01-01-01-01.mp4").write_bytes(b"a recording")
    with pytest.raises(errors.UserError, match="not rendered"):
        render_ravdess(tmp_path, **SMALL, actors=1, workers=1)


def test_files_decode_with_the_rate_and_audio_they_should_have(all_emotions):
    for path in all_emotions:
        times = [time for _, time, _ in iter_frames(path)]
        assert len(times) == 12  # 0.8 s at 15 frames a second
        np.testing.assert_allclose(np.diff(times), 1 / 15, atol=2e-3)
        waveform, rate = read_audio(path, None)
        assert rate == 24000
        assert abs(len(waveform) / rate - 0.8) < 0.06  # AAC comes in blocks of 43 ms
        assert not is_silent(waveform)
        assert 0.02 < np.sqrt(np.mean(waveform**2)) < 0.5 and np.abs(waveform).max() <= 1


def test_the_command(tmp_path, capsys):
    dest = str(tmp_path / "clips")
    arguments = [dest, "--actors", "1", "--emotions", "calm", "--seconds", "0.6", "--workers", "1"]
    assert command.main([*arguments, "--fps", "5"]) == 0
    assert len(list((tmp_path / "clips").rglob("*.mp4"))) == 8
    parameters = json.loads((tmp_path / "clips" / clip.PARAMETERS_FILE).read_text())
    assert parameters["fps"] == 5 and parameters["seed"] == 0
    assert command.main([*arguments, "--fps", "6"]) == 2
    assert "fps 5 (now 6)" in capsys.readouterr().err
