"""Tests of rendered RAVDESS: layout, names, determinism, resumption and refused folders."""

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


def decode(path):
    """Returns all frames, uint8 [n, h, w, 3], and the audio, float32 [n]."""
    return np.stack([image for _, _, image in iter_frames(path)]), read_audio(path, None)[0]


def are_equal(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(decode(a), decode(b), strict=True))


def test_names_have_the_requested_codes(all_emotions):
    takes = [parse_name(path.stem) for path in all_emotions]
    assert {take.emotion for take in takes} == set(expression.EMOTIONS)
    assert len(takes) == 8
    assert {(t.channel, t.vocal_channel, t.subject) for t in takes} == {
        ("audio_video", "speech", "actor_01")
    }
    assert {path.parent.name for path in all_emotions} == {"Actor_01"}
    assert all(take.statement == 2 for take in takes)


def test_an_actor_has_the_sixty_takes_of_ravdess():
    names = ravdess.clip_names([7], expression.EMOTIONS)
    assert len(names) == len(set(names)) == 60  # 7 emotions x 8 takes, neutral x 4
    assert names == sorted(names)
    assert {parse_name(name).subject for name in names} == {"actor_07"}


@pytest.mark.parametrize(
    ("arguments", "message"),
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
def test_invalid_values_are_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(errors.UserError, match=message):
        render_ravdess(tmp_path / "clips", **{"actors": 1, "workers": 1, **arguments})
    assert not (tmp_path / "clips").exists()


def test_clips_depend_on_seed_and_name_alone(tmp_path):
    options = {**SMALL, "emotions": ("anger", "fear"), "seed": 5}
    many = render_ravdess(tmp_path / "a", actors=2, workers=2, **options)
    single = render_ravdess(
        tmp_path / "b", actors=[2], workers=1, **{**options, "emotions": ["fear"]}
    )
    assert len(many) == 4 and len(single) == 1
    assert are_equal(single[0], next(path for path in many if path.name == single[0].name))
    other = render_ravdess(tmp_path / "c", actors=[2], workers=1, **{**options, "seed": 6})
    assert not are_equal(other[1], many[3])
    frames, waveform = decode(many[0])
    other_frames, other_waveform = decode(many[2])
    assert not np.array_equal(frames, other_frames)
    assert not np.array_equal(waveform, other_waveform)


def test_interrupted_render_is_resumed_and_keeps_existing_clips(tmp_path, monkeypatch):
    options = {**SMALL, "actors": 1, "emotions": ("anger", "fear", "sadness"), "workers": 1}
    expected = render_ravdess(tmp_path / "complete", **options)
    write_clip, count = clip.write_clip, iter(range(100))

    def interrupted_in_the_second(path, images, *rest):
        if next(count) == 1:
            path.write_bytes(b"half a clip")
            raise KeyboardInterrupt
        write_clip(path, images, *rest)

    monkeypatch.setattr(clip, "write_clip", interrupted_in_the_second)
    dest = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        render_ravdess(dest, **options)
    existing = sorted(dest.rglob("*.mp4"))
    assert len(existing) == 1
    before = existing[0].stat().st_mtime_ns
    monkeypatch.undo()
    calls = []
    paths = render_ravdess(
        dest, progress=lambda done, total: calls.append((done, total)), **options
    )
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert existing[0].stat().st_mtime_ns == before
    assert [path.name for path in paths] == [path.name for path in expected]
    assert all(are_equal(a, b) for a, b in zip(paths, expected, strict=True))
    assert {path.name for path in paths[0].parent.iterdir()} == {path.name for path in paths}


def test_folder_with_other_parameters_is_refused(tmp_path):
    options = {**SMALL, "actors": 1, "emotions": ("anger",), "workers": 1}
    render_ravdess(tmp_path, **options)
    with pytest.raises(errors.UserError, match=r"seed 0 \(now 1\).*variation 1.0 \(now 0.5\)"):
        render_ravdess(tmp_path, **options, seed=1, variation=0.5)
    render_ravdess(tmp_path, **{**options, "emotions": ("fear",)})  # more clips of the same kind
    (tmp_path / clip.PARAMETERS_FILE).write_text("{")
    with pytest.raises(errors.UserError, match="JSON"):
        render_ravdess(tmp_path, **options)


def test_folder_with_real_recordings_is_refused(tmp_path):
    (tmp_path / "Actor_01").mkdir()
    (tmp_path / "Actor_01" / "01-01-05-01-01-01-01.mp4").write_bytes(b"a recording")
    with pytest.raises(errors.UserError, match="not rendered"):
        render_ravdess(tmp_path, **SMALL, actors=1, workers=1)


def test_files_have_the_right_frame_rate_and_audio(all_emotions):
    for path in all_emotions:
        times = [time for _, time, _ in iter_frames(path)]
        assert len(times) == 12  # 0.8 s at 15 frames a second
        np.testing.assert_allclose(np.diff(times), 1 / 15, atol=2e-3)
        waveform, rate = read_audio(path, None)
        assert rate == 24000
        assert abs(len(waveform) / rate - 0.8) < 0.06  # AAC comes in blocks of 43 ms
        assert not is_silent(waveform)
        assert 0.02 < np.sqrt(np.mean(waveform**2)) < 0.5 and np.abs(waveform).max() <= 1


def test_render_command(tmp_path, capsys):
    dest = str(tmp_path / "clips")
    arguments = [dest, "--actors", "1", "--emotions", "calm", "--seconds", "0.6", "--workers", "1"]
    assert command.main([*arguments, "--fps", "5"]) == 0
    assert len(list((tmp_path / "clips").rglob("*.mp4"))) == 8
    parameters = json.loads((tmp_path / "clips" / clip.PARAMETERS_FILE).read_text())
    assert parameters["fps"] == 5 and parameters["seed"] == 0
    assert command.main([*arguments, "--fps", "6"]) == 2
    assert "fps 5 (now 6)" in capsys.readouterr().err
