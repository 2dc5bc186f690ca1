"""Frames picked without anybody looking."""

import itertools

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.cli.frames import main
from mmer_jax.datasets import clips, frame_lists
from mmer_jax.frame_selection import automatic, recordings_of
from mmer_jax.media import flow


def faces(levels, shifts=None, seed=0):
    """Images of one noisy texture, mixed with another by `levels`, moved right by `shifts`."""
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, 255, (2, 64, 64, 1)).astype(float)
    shifts = shifts or [0] * len(levels)
    mixed = [
        np.roll((1 - level) * one + level * other, s, 1)
        for level, s in zip(levels, shifts, strict=True)
    ]
    return [np.repeat(image, 3, axis=-1).round().astype(np.uint8) for image in mixed]


def test_the_frames_that_look_different_are_the_farthest():
    looks = [0.0] * 30
    looks[12:15] = 0.5, 1.0, 0.5
    distance = automatic.distances(faces(looks))
    assert distance[0] == 0
    assert distance.argmax() == 13
    still = [*range(1, 12), *range(16, 30)]
    assert distance[12:16].min() > distance[still].max()
    assert distance[still].max() < 1e-6  # what is as it began is at distance 0


def test_brighter_light_is_no_difference():
    still = faces([0.0] * 20)
    brighter = [(image // 2 + 4 * t).astype(np.uint8) for t, image in enumerate(still)]
    looks = [0.0] * 19 + [0.2]
    changed = [(p // 2 + 4 * t).astype(np.uint8) for t, p in enumerate(faces(looks))]
    appearance = {
        name: automatic.distances(images)[-1]
        for name, images in (("brighter", brighter), ("changed", changed))
    }
    assert appearance["changed"] > appearance["brighter"]


def test_the_distance_is_the_documented_formula():
    """Against numpy, with the flow taken as it is."""
    images = faces(np.linspace(0, 1, 12), [0, 0, 0, 1, 1, 2, 3, 3, 5, 5, 5, 6])
    gray = np.stack([p[..., 0].astype(float) for p in images])
    gray = (gray - gray.mean((1, 2), keepdims=True)) / gray.std((1, 2), keepdims=True)
    looks = np.sqrt(((gray - gray[:6].mean(0)) ** 2).mean((1, 2)))[1:]
    flows = [flow.dense_flow(*pair) for pair in itertools.pairwise(images)]
    motion = np.array([np.hypot(f[..., 0], f[..., 1]).mean() for f in flows])
    expected = abs(looks - looks[:5].mean()) / looks.std()
    expected += abs(motion - motion[:5].mean()) / motion.std()
    np.testing.assert_allclose(automatic.distances(images)[1:], expected, rtol=1e-4)


def test_a_still_clip_has_no_distances():
    assert not automatic.distances(faces([0.0] * 8)).any()
    assert not automatic.distances([np.zeros((8, 8, 3), np.uint8)] * 3).any()


def test_picked_frames_keep_their_distance_from_each_other():
    distance = np.array([99.0, 1, 5, 6, 5, 1, 3, 1, 4, 4])
    assert automatic.farthest(distance, 3, 2) == [3, 6, 8]  # 2 and 4 are too near to 3
    assert automatic.farthest(distance, 3, 1) == [2, 3, 4]
    assert automatic.farthest(distance, 7, 4) == [3, 8]
    assert automatic.farthest(distance[:2], 7, 4) == [1]


def test_the_list_is_one_that_the_data_take(baum1, tmp_path, capsys):
    """Every picked frame is an example of a build of `frames`; clips without a label are named."""
    out = tmp_path / "picks.csv"
    command = ["automatic", "--manual_dir", str(baum1), "--out", str(out), "--workers", "1"]
    assert main([*command, "--per_clip", "2"]) == 0
    said = capsys.readouterr()
    assert "no label: S" in said.err
    found = recordings_of.select("baum1_acted", baum1)
    outcomes = [clips.process_recording(r, "frames", clips.Options()) for r in found]
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


def test_single_clips_of_ravdess(tmp_path, write_clip):
    images = [np.full((64, 64, 3), 90 + 3 * i, np.uint8) for i in range(9)]
    for name in ("01-01-05-01-01-01-01", "01-01-05-01-01-01-02"):
        write_clip(tmp_path / "in" / f"{name}.mp4", images, rate=10)
    (wanted,) = recordings_of.select("ravdess", tmp_path / "in", ["01-01-05-01-01-01-02"])
    assert wanted.name == "01-01-05-01-01-01-02"
    with pytest.raises(errors.UserError, match=r"no clip 01-01-05-01-01-01-0 .*did you mean 01-01"):
        recordings_of.select("ravdess", tmp_path / "in", ["01-01-05-01-01-01-0"])


def test_mistakes_are_one_message(baum1, tmp_path, capsys):
    def said(folder, *more):
        out = ["--out", str(tmp_path / "picks.csv")]
        assert main(["automatic", "--manual_dir", str(folder), *out, *more]) == 2
        return capsys.readouterr().err

    assert said(tmp_path).startswith("error: looked for BAUM-1's acted clips")
    assert said(baum1, "--apart", "0").startswith("error: per_clip and apart must be from 1")
