"""Tests of rendered BAUM-1: layout, list of labels and planted errors."""

import json
import re

import numpy as np
import openpyxl
import pytest

from mmer_jax import errors
from mmer_jax.cli import render as command
from mmer_jax.media.audio import read_audio
from mmer_jax.media.video import iter_frames
from mmer_jax.synthetic import RENDERERS, baum1, clip, render_baum1

SMALL = {"size": (96, 72), "seconds": 0.6, "fps": 10, "workers": 1}


def read_table(folder):
    """Returns the rows of the workbook, headings first."""
    (path,) = folder.glob("Annotations_*.xlsx")
    return list(openpyxl.load_workbook(path).active.iter_rows(values_only=True))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    paths = render_baum1(
        folder, "spontaneous", subjects=[4, 6], clips=1, emotions=["anger", "neutral"], **SMALL
    )
    return folder, paths


def test_layout_and_labels_without_traps(plain):
    folder, paths = plain
    assert [str(path.relative_to(folder)) for path in paths] == [
        f"BAUM1s_MP4_all/s{s:03d}/S{s:03d}_{n:03d}.mp4" for s in (4, 6) for n in (1, 2)
    ]
    rows = read_table(folder)
    assert rows[0][:7] == baum1.HEADINGS
    assert [row[:7] for row in rows[1:5]] == [
        (1, "S004", 1, "S004_001", "Anger", 1, "Female"),
        (2, "S004", 2, "S004_002", "Neutral", 9, "Female"),
        (3, "S006", 1, "S006_001", "Anger", 1, "Female"),
        (4, "S006", 2, "S006_002", "Neutral", 9, "Female"),
    ]
    counts = {row[8]: row[8:11] for row in rows[1:]}  # the side table of code counts
    assert len(counts) == 13 and counts[9] == (9, "Neutral", 2) and counts[3] == (3, "Bothered", 0)
    planted = json.loads((folder / baum1.PLANTED_FILE).read_text())
    assert planted == {"labeled": 4, "mismatches": {}}


def test_clips_decode_and_differ_between_sets_and_subjects(plain, tmp_path):
    _, paths = plain
    acted = render_baum1(tmp_path, "acted", subjects=[4], clips=1, emotions=["anger"], **SMALL)
    images = [np.stack([image for _, _, image in iter_frames(p)]) for p in (*paths, *acted)]
    waveforms = [read_audio(p, None)[0] for p in (*paths, *acted)]
    for i in range(len(images)):
        assert images[i].shape == (6, 72, 96, 3)
        for j in range(i):
            assert not np.array_equal(images[i], images[j])
            assert not np.array_equal(waveforms[i], waveforms[j])


def test_traps_plant_every_kind_of_error(tmp_path):
    paths = render_baum1(tmp_path, subjects=3, clips=1, traps=True, **SMALL)
    names = [str(path.relative_to(tmp_path)) for path in paths]
    assert {name.partition("/")[0] for name in names} == {"BAUM1a_MP4_all", "BAUM1a_MP4 - All"}
    spellings = (r"s\d+/S\d+_\d+\.mp4", r"s\d+/s\d+_\d+\.mp4", r"S\d+/S\d+_\d+\.MP4")
    for spelling in spellings:
        assert any(re.search(spelling, name) for name in names), spelling
    assert list(tmp_path.rglob("*.srt"))
    rows = [row[1:7] for row in read_table(tmp_path)[1:] if row[1]]
    assert {type(row[4]) for row in rows} >= {int, str}  # codes typed as text
    assert {type(row[1]) for row in rows} == {int, str}
    planted = json.loads((tmp_path / baum1.PLANTED_FILE).read_text())
    assert planted["labeled"] == 15 and len(paths) == 17
    assert {kind: len(clips) for kind, clips in planted["mismatches"].items()} == {
        "clip name differs": 6,
        "clip without a label": 2,
        "label repeated": 1,
        "label without a clip": 9,
        "word differs from code": 1,
        "word misspelt": 2,
    }


def test_second_call_keeps_existing_clips_and_refuses_other_parameters(tmp_path):
    options = {"subjects": 1, "clips": 1, "emotions": ["fear"], **SMALL}
    (path,) = render_baum1(tmp_path, **options)
    before = path.stat().st_mtime_ns
    assert render_baum1(tmp_path, **options) == [path]
    assert path.stat().st_mtime_ns == before
    with pytest.raises(errors.UserError, match=r"set acted \(now spontaneous\)"):
        render_baum1(tmp_path, "spontaneous", **options)
    with pytest.raises(errors.UserError, match=r"subjects \[1\] \(now \[1, 2\]\)"):
        render_baum1(tmp_path, **options | {"subjects": 2})
    with pytest.raises(errors.UserError, match=r"set acted \(now None\)"):
        RENDERERS["ravdess"](tmp_path, intensities=(), actors=1, emotions=["fear"], **SMALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"emotions": ["boredom"]}, "unknown emotion to render of the acted set 'boredom'; known"),
        ({"emotions": ["neutral"]}, "unknown emotion to render of the acted set 'neutral'"),
        ({"subjects": [5]}, "unknown subject of BAUM-1 5; known: 1, 2, 3, 4, 6"),
        ({"subjects": 31}, "from 1 to 30, found 31"),
        ({"subset": "1a"}, "unknown set of BAUM-1 '1a'; known: acted, spontaneous"),
        ({"clips": 0}, "nothing to render"),
    ],
)
def test_invalid_values_are_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(errors.UserError, match=message):
        render_baum1(tmp_path / "clips", **SMALL | arguments)
    assert not (tmp_path / "clips").exists()


def test_render_command(tmp_path, capsys):
    arguments = ["--actors", "1", "--emotions", "fear", "--seconds", "0.6", "--workers", "1"]
    dest = str(tmp_path / "clips")
    assert command.main([dest, "--dataset", "baum1_acted", "--traps", *arguments]) == 0
    assert len(list((tmp_path / "clips").rglob("*.[mM][pP]4"))) == 3
    parameters = json.loads((tmp_path / "clips" / clip.PARAMETERS_FILE).read_text())
    assert parameters["set"] == "acted" and parameters["traps"]
    with pytest.raises(SystemExit, match="2"):
        command.main([dest, "--traps", *arguments])
    assert "--traps is for BAUM-1 only" in capsys.readouterr().err
