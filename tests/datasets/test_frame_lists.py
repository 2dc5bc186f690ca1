"""Lists of frames: reading, errors, and their effect on a build and on a table."""

import dataclasses

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.corpora import recordings
from mmer_jax.datasets import clips, frame_lists, tfds_io


def write_list(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "list.csv"
    path.write_text(text, encoding=encoding)
    return path


TABLE = {
    "clip": np.repeat(["S001_001", "S001_002", "S002_001"], [4, 3, 2]),
    "frame_index": np.array([1, 2, 3, 5, 1, 2, 3, 1, 2]),
    "emotion": np.repeat(["anger", "fear", "anger"], [4, 3, 2]),
}
ALL = np.arange(9)


def restrict(tmp_path, text, indices=ALL):
    picks = frame_lists.read_picks(write_list(tmp_path, f"clip,frame_index\n{text}"))
    return frame_lists.restrict(TABLE, indices, picks).tolist()


def test_file_saved_by_a_spreadsheet_is_read(tmp_path):
    text = "emotion, Frame_no,frame_index,clip\r\nx,,7,S001_001\r\n,,,\r\nx,, 3 ,S001_001\r\n"
    picks = frame_lists.read_picks(write_list(tmp_path, text, "utf-8-sig"))
    assert picks.rows == {"S001_001": {7: 2, 3: 4}}
    assert len(picks) == 2


def test_written_list_is_read(tmp_path):
    rows = [("S001_001", 3, 0.25), ("S001_001", 4, 1e-9), ('odd "name", with comma', 1, 1.0)]
    path = frame_lists.write(tmp_path / "new" / "scores.csv", frame_lists.SCORES, rows)
    scores = frame_lists.read_scores(path).scores
    assert scores == {"S001_001": {3: 0.25, 4: 1e-9}, 'odd "name", with comma': {1: 1.0}}
    assert [p.name for p in path.parent.iterdir()] == ["scores.csv"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column clip and frame_index and score in row 1"),
        ("clip;frame_index;score\na;1;1\n", "separated by commas, found clip;frame_index;score"),
        ("clip,frame_index,score\n", "lists no frame"),
        ("clip,frame_index,score\na,1,1\n,2,1\n", "row 3, column clip: expected the name"),
        ("clip,frame_index,score\na,x,1\n", "row 2, column frame_index: .* from 1.*'x'"),
        ("clip,frame_index,score\na,0,1\n", r"frame_index: .*frame 0 has no flow\), found '0'"),
        ("clip,frame_index,score\na,1\n", "row 2, column score: expected a finite number"),
        ("clip,frame_index,score\na,1,nan\n", "row 2, column score: .*'nan'"),
        ("clip,frame_index,score\na,1,1\nb,1,1\na,1,2\n", "rows 2 and 4: both score frame 1 of a"),
    ],
)
def test_errors_of_a_list_name_the_row(tmp_path, text, message):
    with pytest.raises(errors.UserError, match=message):
        frame_lists.read_scores(write_list(tmp_path, text))


def test_missing_list(tmp_path):
    with pytest.raises(errors.UserError, match=r"list of frames .*absent\.csv does not exist"):
        frame_lists.read_picks(tmp_path / "absent.csv")


def test_only_picked_frames_are_kept(tmp_path):
    assert restrict(tmp_path, "S001_001,5\nS001_002,1\nS001_001,2\n") == [1, 3, 4]
    # Picked frames of other examples are ignored, and are no error.
    assert restrict(tmp_path, "S001_001,5\nS002_001,2\n", indices=np.arange(4)) == [3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "S001_001,1\nS001_003,1\n",
            r"row 3: .* no clip 'S001_003'; did you mean 'S001_00\d'\?",
        ),
        ("S001_001,1\nS001_001,4\n", "row 3: the data have no frame 4 of S001_001, only 1 to 3, 5"),
        ("S001_001,1\n", "picks no frame of any clip with the emotion fear"),
    ],
)
def test_picks_that_do_not_match_the_data(tmp_path, text, message):
    with pytest.raises(errors.UserError, match=message):
        restrict(tmp_path, text)


# Scores in a build.


def make_recording(path):
    return recordings.Recording(path.stem, path.suffix, str(path), None, path.stat().st_size)


def scored_options(path):
    return dataclasses.replace(clips.Options(), frame_choice="scored", frame_scores=str(path))


def test_frames_with_the_best_scores_become_triplets(tmp_path, clip):
    rows = [(clip.stem, i, {4: 0.7, 9: 0.9, 2: 0.8}.get(i, 0.1)) for i in range(1, 11)]
    options = scored_options(frame_lists.write(tmp_path / "scores.csv", frame_lists.SCORES, rows))
    options.check()
    triplets = clips.process_recording(make_recording(clip), "triplets", options).examples
    assert [t["frame_index"] for t in triplets] == [2, 4, 9]


def test_clip_without_scores_is_skipped_and_reported(tmp_path, rendered):
    first, *others = sorted(rendered.rglob("*.mp4"))
    rows = [(first.stem, i, i) for i in range(1, 5)]
    path = frame_lists.write(tmp_path / "scores.csv", frame_lists.SCORES, rows)
    built = tfds_io.ensure_built(
        options={"frame_choice": "scored", "frame_scores": str(path)},
        data_dir=tmp_path / "data",
        manual_dir=rendered,
        workers=1,
    )
    assert built.examples == 3
    assert built.metadata["skipped"] == {"no scores": sorted(p.stem for p in others)}
    # Different scores give another dataset; the same scores in another file do not.
    moved = path.rename(tmp_path / "moved.csv")
    arguments = {"data_dir": tmp_path / "data", "manual_dir": rendered, "workers": 1}
    options = {"frame_choice": "scored", "frame_scores": str(moved)}
    assert tfds_io.ensure_built(options=options, **arguments).data_dir == built.data_dir
    frame_lists.write(moved, frame_lists.SCORES, [(first.stem, 5 - i, i) for i in range(1, 5)])
    assert tfds_io.ensure_built(options=options, **arguments).data_dir != built.data_dir


def test_score_of_a_missing_frame_is_an_error(tmp_path, clip):
    rows = [(clip.stem, 1, 1.0), (clip.stem, 5000, 0.0)]
    options = scored_options(frame_lists.write(tmp_path / "scores.csv", frame_lists.SCORES, rows))
    with pytest.raises(errors.UserError, match=rf"row 3: {clip.stem} has no frame 5000; .* 0 to"):
        clips.process_recording(make_recording(clip), "triplets", options)


def test_score_of_a_missing_clip_is_an_error(tmp_path, rendered):
    rows = [(path.stem, 1, 1.0) for path in rendered.rglob("*.mp4")]
    rows.insert(2, ("01-01-05-01-01-01-11", 1, 1.0))
    path = frame_lists.write(tmp_path / "scores.csv", frame_lists.SCORES, rows)
    with pytest.raises(errors.UserError, match=r"row 4: there is no clip '01-01-05-01-01-01-11'"):
        tfds_io.ensure_built(
            options={"frame_choice": "scored", "frame_scores": str(path)},
            data_dir=tmp_path / "data",
            manual_dir=rendered,
            workers=1,
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_choice": "scored"}, "'scored' needs frame_scores"),
        ({"frame_scores": "list.csv"}, "'random' takes no frame_scores, found 'list.csv'"),
        (
            {"frame_choice": "scored", "frame_scores": "/none.csv"},
            "list of frames /none.csv does not exist",
        ),
    ],
)
def test_scores_must_match_the_choice_of_frames(options, message):
    with pytest.raises(errors.UserError, match=message):
        dataclasses.replace(clips.Options(), **options).check()
