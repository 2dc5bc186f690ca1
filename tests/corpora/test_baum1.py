"""Tests of BAUM-1's names and folders, and of its builder on rendered clips with planted errors."""

import csv
import json
import pickle
import shutil
import zipfile
from pathlib import PurePath

import numpy as np
import openpyxl
import pytest

from mmer_jax import errors
from mmer_jax.corpora import baum1, emotions, sets
from mmer_jax.datasets import clips, packing, tfds_io
from mmer_jax.datasets.pack import open_pack
from mmer_jax.synthetic import render_baum1
from mmer_jax.synthetic.baum1 import PLANTED_FILE

SMALL = {"size": (96, 72), "seconds": 0.6, "fps": 10, "workers": 1}


@pytest.fixture(scope="module")
def clips_with_errors(tmp_path_factory):
    """17 clips of the acted set: three people, five emotions, and two clips without a label."""
    folder = tmp_path_factory.mktemp("acted")
    render_baum1(folder, "acted", subjects=3, clips=1, traps=True, **SMALL)
    return folder


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def speech(clips_with_errors, data_dir):
    return tfds_io.ensure_built(
        "baum1_acted", "speech", data_dir=data_dir, manual_dir=clips_with_errors, workers=1
    )


def create_files(folder, *names, content=b"x"):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def label_list(folder, *clips_and_codes, short="BAUM1a"):
    """Writes a list of labels with the given (subject, clip, code)."""
    headings = ["Subject Label", "Clip", "Clip Name", "Emotion", "Emotion Code", "Gender"]
    words = {1: "Anger", 3: "Disgust", 4: "Fear"}
    with open(folder / f"Annotations_{short}.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [headings]
            + [
                [f"S{s:03d}", c, f"S{s:03d}_{c:03d}", words[code], code, "Male"]
                for s, c, code in clips_and_codes
            ]
        )
    return folder


def select(folder, name="baum1_acted"):
    return sets.get(name).select(folder, [("audio_video",)])


def test_codes_are_canonical_emotions():
    for subset in baum1.SUBSETS.values():
        assert list(subset.codes) == list(range(1, len(subset.codes) + 1))
        assert {emotions.lookup(name) for name in subset.codes.values()} <= set(emotions.EMOTIONS)


@pytest.mark.parametrize("name", ["S007_012", "s007_012", " S007_012 ", "S7_12"])
def test_names_are_parsed_in_any_case(name):
    assert baum1.clip_name(*baum1.parse_name(name)) == "S007_012"


@pytest.mark.parametrize(
    ("name", "message"),
    [("S005_001", "no subject 5"), ("S032_001", "no subject 32"), ("holiday", "S001_001")],
)
def test_other_names_are_refused(name, message):
    with pytest.raises(errors.ClipError, match=message) as raised:
        baum1.parse_name(name)
    assert raised.value.kind == "bad name"


@pytest.mark.parametrize(
    ("path", "subset"),
    [
        ("BAUM1a_MP4_all/s001", "acted"),
        ("BAUM1s_MP4 - All/s001", "spontaneous"),
        ("baum-1S/x", "spontaneous"),
        ("BAUM1s/copy of BAUM1a.zip/s001", "acted"),  # the closest counts
        ("baum1/s001", None),
        ("baum1 sets/s001", None),
    ],
)
def test_folder_names_determine_the_set(path, subset):
    assert baum1.subset_from_path(PurePath(path)) == subset


def test_examples_and_mismatches_are_those_planted(clips_with_errors, speech, capsys, tmp_path):
    planted = json.loads((clips_with_errors / PLANTED_FILE).read_text())
    assert speech.examples == planted["labeled"] == 15
    assert speech.metadata["mismatches"] == planted["mismatches"]
    assert len(planted["mismatches"]) == 6
    unlabeled = planted["mismatches"]["clip without a label"]
    assert speech.metadata["skipped"] == {"no label": unlabeled}
    again = tfds_io.ensure_built(
        "baum1_acted", "speech", data_dir=tmp_path, manual_dir=clips_with_errors, workers=1
    )
    output = capsys.readouterr().err
    assert "baum1/acted_speech: 15 of 17 recordings used" in output
    assert f"skipped, no label: {unlabeled[0]} (" in output
    for kind, names in planted["mismatches"].items():
        assert f"  {kind}: {len(names)}\n" in output
        for name in names:
            assert f"    {name} (" in output
    assert again.metadata == speech.metadata


def test_examples_have_the_metadata_of_the_rendered_clips(speech):
    """Each subject shows the five emotions in the order of their codes."""
    labels = sorted((e["clip"], e["label"]) for e in tfds_io.read(speech, ["clip", "label"]))
    emotion_names = ["anger", "disgust", "fear", "happiness", "sadness"]
    subjects = ("S001", "S002", "S003")
    assert labels == [(f"{s}_{n:03d}", e) for s in subjects for n, e in enumerate(emotion_names, 1)]
    for e in tfds_io.read(speech):
        assert e["subject"] == e["clip"][:4]
        assert e["gender"] == {"S001": "male", "S002": "female", "S003": "male"}[e["subject"]]
        assert (e["intensity"], e["statement"], e["repetition"]) == ("acted", 0, 0)
        assert e["sample_rate"] == 24000 and 0.5 < e["duration"] < 0.8
    assert (speech.dataset, speech.builder_config) == ("baum1_acted", "speech")
    assert speech.metadata["origin"] == "rendered"
    assert speech.data_dir.parts[-3:] == ("baum1", "acted_speech", "1.0.0")
    assert tfds_io.open_built(speech.data_dir) == speech


def test_triplets_of_the_spontaneous_set_and_their_pack(data_dir, tmp_path):
    render_baum1(
        tmp_path, "spontaneous", subjects=[2], clips=1, emotions=["neutral", "surprise"], **SMALL
    )
    options = {"frame_choice": "uniform"}
    built = tfds_io.ensure_built(
        "baum1_spontaneous", "triplets", options, data_dir=data_dir, manual_dir=tmp_path, workers=1
    )
    assert built.examples == 6
    assert built.dataset == "baum1_spontaneous"
    assert built.builder_config.startswith("triplets-")
    assert built.metadata["builder_config"] == "triplets"
    assert built.metadata["mismatches"] == built.metadata["skipped"] == {}
    packed = open_pack(packing.make_pack(built, ["face", "mel"], 32))
    assert packed.table["emotion"].tolist() == ["neutral"] * 3 + ["surprise"] * 3
    assert set(packed.table["channel"]) == {"audio_video"}
    assert set(packed.table["intensity"]) == {"spontaneous"}
    assert packed.info["dataset"] == "baum1_spontaneous"
    assert packed.arrays["face"].std() > 20


def test_csv_list_and_archive_give_the_same_selection(clips_with_errors, speech, tmp_path):
    (sheet,) = clips_with_errors.glob("*.xlsx")
    with open(tmp_path / "annotations_baum1a.CSV", "w", newline="") as file:
        rows = openpyxl.load_workbook(sheet).active.iter_rows(values_only=True)
        csv.writer(file).writerows(rows)
    with zipfile.ZipFile(tmp_path / "BAUM1a_MP4_all.zip", "w") as archive:
        for path in clips_with_errors.rglob("*.[mM][pP]4"):
            archive.write(path, path.relative_to(clips_with_errors))
    unpacked, packed = select(clips_with_errors), select(tmp_path)
    assert [r.name for r in unpacked.recordings] == [r.name for r in packed.recordings]
    assert {k: list(v) for k, v in unpacked.mismatches.items()} == {
        k: list(v) for k, v in packed.mismatches.items()
    }
    assert unpacked.labels == packed.labels
    assert unpacked.digest() == packed.digest() == speech.metadata["source"]["digest"]
    (example,) = clips.process_recording(packed.recordings[0], "speech", clips.Options()).examples
    stored = {e["clip"]: e["samples"] for e in tfds_io.read(speech, ["clip", "samples"])}
    np.testing.assert_array_equal(example["samples"], stored[example["clip"]])


def test_changed_label_changes_the_source(clips_with_errors, speech, data_dir, tmp_path):
    source = tmp_path / "in"
    shutil.copytree(clips_with_errors, source)
    (sheet,) = source.glob("*.xlsx")
    workbook = openpyxl.load_workbook(sheet)
    workbook.active["F2"] = 4
    workbook.save(sheet)
    with pytest.raises(errors.UserError, match="names, sizes or labels differ"):
        tfds_io.ensure_built("baum1_acted", "speech", data_dir=data_dir, manual_dir=source)


def test_both_sets_in_one_folder_are_separated(tmp_path):
    create_files(
        tmp_path,
        "BAUM1a_MP4_all/s001/S001_001.mp4",
        "BAUM1a_MP4_all/s001/S001_001.srt",
        "BAUM1a_MP4_all/s001/S001_001.wav",
        "BAUM1s_MP4 - All/s001/S001_001.mp4",
        "BAUM1s_MP4 - All/s001/S001_002.mp4",
    )
    label_list(tmp_path, (1, 1, 3))
    label_list(tmp_path, (1, 1, 1), (1, 2, 1), short="BAUM1s")
    acted, spontaneous = select(tmp_path), select(tmp_path, "baum1_spontaneous")
    assert [r.facts()["label"] for r in acted.recordings] == ["disgust"]
    assert acted.left_out == {"spontaneous clips": 2} and acted.mismatches == {}
    assert [r.facts()["label"] for r in spontaneous.recordings] == ["anger", "anger"]
    assert spontaneous.left_out == {"acted clips": 1} and spontaneous.origin == "recorded"
    # The folder of one set suffices, since the list is in its parent folder.
    assert select(tmp_path / "BAUM1a_MP4_all").digest() == acted.digest()
    pickle.loads(pickle.dumps(acted.recordings[0])).facts()  # for worker processes


def test_other_names_and_duplicates_are_reported(tmp_path):
    create_files(
        tmp_path, "s001/S001_001.mp4", "again/s001_001.MP4", "holiday.mp4", "s005/S005_001.mp4"
    )
    label_list(tmp_path, (1, 1, 1))
    selection = select(tmp_path)
    assert [r.name for r in selection.recordings] == ["S001_001", "S005_001", "holiday"]
    assert list(selection.mismatches) == ["clip found twice"]
    (detail,) = selection.mismatches["clip found twice"].values()
    assert "again" in detail and "is not" in detail
    for recording in selection.recordings[1:]:
        outcome = clips.process_recording(recording, "speech", clips.Options())
        assert outcome.problem.kind == "bad name"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "absent", "BAUM-1's acted clips in .*absent, which does not exist"),
        (lambda p: p, "found none"),
        (
            lambda p: create_files(p, "BAUM1s_MP4_all/s001/S001_001.mp4"),
            "found 1 spontaneous clips",
        ),
        (lambda p: create_files(p, "01-01-03-01-01-01-01.mp4"), "found 1 under other names"),
        (
            lambda p: create_files(p, "s001/S001_001.mp4"),
            r"looked for the list of labels .* found none",
        ),
    ],
)
def test_folder_without_the_set_is_an_error_with_instructions(tmp_path, make, message):
    with pytest.raises(errors.UserError, match=message) as raised:
        select(make(tmp_path))
    assert "ask the authors of doi:10.1109/TAFFC.2016.2553038" in str(raised.value)
    assert "BAUM1a_MP4_all" in str(raised.value)


@pytest.mark.parametrize("download", [False, True])
def test_baum1_is_never_downloaded(tmp_path, download):
    with pytest.raises(errors.UserError, match=r"--config\.data\.manual_dir=DIR, or") as raised:
        tfds_io.ensure_built("baum1_spontaneous", data_dir=tmp_path, download=download)
    assert "ask the authors" in str(raised.value) and "BAUM1s_MP4_all" in str(raised.value)
    assert "config.data.download" not in str(raised.value)


def test_strict_requires_a_label_for_every_clip(clips_with_errors, tmp_path):
    with pytest.raises(errors.UserError, match="S001_006 cannot be used: no label"):
        tfds_io.ensure_built(
            "baum1_acted",
            "speech",
            data_dir=tmp_path,
            manual_dir=clips_with_errors,
            strict=True,
            workers=1,
        )


def test_unknown_dataset_lists_the_known_ones(tmp_path):
    with pytest.raises(errors.UserError, match="known: ravdess, baum1_acted, baum1_spontaneous"):
        tfds_io.ensure_built("baum1", data_dir=tmp_path)
    with pytest.raises(errors.UserError, match="unknown builder config 'triplet'; known: triplets"):
        tfds_io.ensure_built("baum1_acted", "triplet", data_dir=tmp_path)
