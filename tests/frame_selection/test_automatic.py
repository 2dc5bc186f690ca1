"""Automatic frame picks."""

import itertools

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.cli.frames import main
from mmer_jax.datasets import clips, frame_lists
from mmer_jax.frame_selection import automatic, processing
from mmer_jax.media import flow


def make_faces(levels, shifts=None, seed=0):
    """Makes images of two noisy textures, mixed by `levels` and moved right by `shifts` pixels."""
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 255, (2, 64, 64, 1)).astype(float)
    shifts = shifts or [0] * len(levels)
    mixed = [
        np.roll((1 - level) * one + level * other, s, 1)
        for level, s in zip(levels, shifts, strict=True)
    ]
    return [np.repeat(image, 3, axis=-1).round().astype(np.uint8) for image in mixed]


def test_frames_that_look_different_are_farthest():
    levels = [0.0] * 30
    levels[12:15] = 0.5, 1.0, 0.5
    distance = automatic.compute_distances(make_faces(levels))
    assert distance[0] == 0
    assert distance.argmax() == 13
    still = [*range(1, 12), *range(16, 30)]
    assert distance[12:16].min() > distance[still].max()
    assert distance[still].max() < 1e-6  # unchanged frames are at distance 0


def test_lighting_does_not_count():
    still = make_faces([0.0] * 20)
    brighter = [(image // 2 + 4 * t).astype(np.uint8) for t, image in enumerate(still)]
    faces = make_faces([0.0] * 19 + [0.2])
    changed = [(image // 2 + 4 * t).astype(np.uint8) for t, image in enumerate(faces)]
    distance = {
        name: automatic.compute_distances(images)[-1]
        for name, images in (("brighter", brighter), ("changed", changed))
    }
    assert distance["changed"] > distance["brighter"]


def test_the_distance_is_the_documented_formula():
    """Compares the distances with the formula in NumPy, with the same optical flow."""
    images = make_faces(np.linspace(0, 1, 12), [0, 0, 0, 1, 1, 2, 3, 3, 5, 5, 5, 6])
    gray = np.stack([p[..., 0].astype(float) for p in images])
    gray = (gray - gray.mean((1, 2), keepdims=True)) / gray.std((1, 2), keepdims=True)
    appearance = np.sqrt(((gray - gray[:6].mean(0)) ** 2).mean((1, 2)))[1:]
    flows = [flow.dense_flow(*pair) for pair in itertools.pairwise(images)]
    motion = np.array([np.hypot(f[..., 0], f[..., 1]).mean() for f in flows])
    expected = abs(appearance - appearance[:5].mean()) / appearance.std()
    expected += abs(motion - motion[:5].mean()) / motion.std()
    np.testing.assert_allclose(automatic.compute_distances(images)[1:], expected, rtol=1e-4)


def test_a_still_clip_has_no_distances():
    assert not automatic.compute_distances(make_faces([0.0] * 8)).any()
    assert not automatic.compute_distances([np.zeros((8, 8, 3), np.uint8)] * 3).any()


def test_picked_frames_are_apart():
    distance = np.array([99.0, 1, 5, 6, 5, 1, 3, 1, 4, 4])
    assert automatic.find_farthest(distance, 3, 2) == [3, 6, 8]  # 2 and 4 are too close to 3
    assert automatic.find_farthest(distance, 3, 1) == [2, 3, 4]
    assert automatic.find_farthest(distance, 7, 4) == [3, 8]
    assert automatic.find_farthest(distance[:2], 7, 4) == [1]


def test_the_list_of_picks_fits_a_build_of_frames(baum1, tmp_path, capsys):
    """All picks are examples of a `frames` build; clips without a label are reported."""
    out = tmp_path / "picks.csv"
    command = ["automatic", "--manual_dir", str(baum1), "--out", str(out), "--workers", "1"]
    assert main([*command, "--per_clip", "2"]) == 0
    assert "no label: S" in capsys.readouterr().err
    recordings = processing.select_recordings("baum1_acted", baum1)
    outcomes = [clips.process_recording(r, "frames", clips.Options()) for r in recordings]
    examples = [e for outcome in outcomes for e in outcome.examples]
    table = {
        "clip": np.array([e["clip"] for e in examples]),
        "frame_index": np.array([e["frame_index"] for e in examples]),
        "emotion": np.array([e["label"] for e in examples]),
    }
    picks = frame_lists.read_picks(out)
    assert set(picks.rows) == set(table["clip"].tolist())
    assert {len(frames) for frames in picks.rows.values()} == {2}
    kept = frame_lists.restrict(table, np.arange(len(examples)), picks)
    assert len(kept) == len(picks) == 2 * len(picks.rows)


def test_single_clips_of_ravdess_are_selected(tmp_path, write_clip):
    images = [np.full((64, 64, 3), 90 + 3 * i, np.uint8) for i in range(9)]
    for name in ("01-01-05-01-01-01-01", "01-01-05-01-01-01-02"):
        write_clip(tmp_path / "in" / f"{name}.mp4", images, rate=10)
    (recording,) = processing.select_recordings(
        "ravdess", tmp_path / "in", ["01-01-05-01-01-01-02"]
    )
    assert recording.name == "01-01-05-01-01-01-02"
    with pytest.raises(errors.UserError, match=r"no clip 01-01-05-01-01-01-0 .*did you mean 01-01"):
        processing.select_recordings("ravdess", tmp_path / "in", ["01-01-05-01-01-01-0"])


def test_a_mistake_gives_one_message(baum1, tmp_path, capsys):
    def message(folder, *more):
        out = ["--out", str(tmp_path / "picks.csv")]
        assert main(["automatic", "--manual_dir", str(folder), *out, *more]) == 2
        return capsys.readouterr().err

    assert message(tmp_path).startswith("error: looked for BAUM-1's acted clips")
    assert message(baum1, "--apart", "0").startswith("error: per_clip and apart must be 1 or")
