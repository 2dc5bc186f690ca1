"""Tests of finding recordings in folders and archives."""

import zipfile

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.corpora import recordings

VIDEO = (("audio_video",),)
SPEECH = (("audio_only",), ("audio_video",))


def create_files(folder, *paths, content=b"x"):
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def names(selection):
    return [r.name for r in selection.recordings]


def test_clutter_is_ignored_and_folders_may_be_nested(tmp_path):
    create_files(
        tmp_path,
        "Actor_01/01-01-01-01-01-01-01.mp4",
        "Actor_02/Actor_02/01-01-01-01-01-01-02.MP4",
        "deep/er/Actor_03/01-01-01-01-01-01-03.mp4",
        "Actor_01/._01-01-01-01-01-02-01.mp4",
        "Actor_01/.DS_Store",
        "__MACOSX/Actor_01/01-01-01-01-02-02-01.mp4",
        "readme.txt",
    )
    selection = recordings.select(tmp_path, VIDEO)
    assert names(selection) == [f"01-01-01-01-01-01-0{a}" for a in (1, 2, 3)]
    assert selection.left_out == {} and selection.origin == "recorded"


def test_other_channels_and_song_are_left_out_and_counted(tmp_path):
    create_files(
        tmp_path,
        "01-01-01-01-01-01-01.mp4",
        "02-01-01-01-01-01-01.mp4",
        "02-01-01-01-01-02-01.mp4",
        "01-02-01-01-01-01-01.mp4",
        "03-01-01-01-01-01-01.wav",
        "holiday.mp4",
    )
    selection = recordings.select(tmp_path, VIDEO)
    assert names(selection) == ["01-01-01-01-01-01-01", "holiday"]
    assert selection.left_out == {
        "audio_only speech": 1,
        "audio_video song": 1,
        "video_only speech": 2,
    }
    both = recordings.select(tmp_path, [("audio_video", "video_only")])
    assert len(both.recordings) == 4


def test_speech_prefers_audio_files_and_falls_back_on_videos(tmp_path):
    create_files(tmp_path, "01-01-01-01-01-01-01.mp4")
    assert names(recordings.select(tmp_path, SPEECH)) == ["01-01-01-01-01-01-01"]
    create_files(tmp_path, "03-01-01-01-01-01-01.wav", "03-01-01-01-01-02-01.flac")
    selection = recordings.select(tmp_path, SPEECH)
    assert [r.ending for r in selection.recordings] == [".wav", ".flac"]


def test_archive_and_folder_give_the_same_selection_and_each_take_once(tmp_path):
    folder, archives = tmp_path / "folder", tmp_path / "archives"
    create_files(folder, "Actor_01/01-01-01-01-01-01-01.mp4", content=b"abc")
    create_files(folder, "Actor_01/01-01-01-01-01-02-01.mp4", content=b"defg")
    archives.mkdir()
    with zipfile.ZipFile(archives / "Video_Speech_Actor_01.zip", "w") as z:
        for file in sorted(folder.rglob("*.mp4")):
            z.write(file, file.relative_to(folder))
        z.writestr("__MACOSX/Actor_01/._01-01-01-01-01-01-01.mp4", b"clutter")
    unpacked = recordings.select(folder, VIDEO)
    packed = recordings.select(archives, VIDEO)
    assert names(packed) == names(unpacked)
    assert packed.digest() == unpacked.digest()
    assert [r.source() for r in packed.recordings] == [b"abc", b"defg"]

    mixed = recordings.select(tmp_path, VIDEO)
    assert names(mixed) == names(unpacked)
    assert all(r.member is None for r in mixed.recordings)


def test_digest_depends_on_names_and_sizes(tmp_path):
    create_files(tmp_path, "01-01-01-01-01-01-01.mp4", content=b"abc")
    first = recordings.select(tmp_path, VIDEO).digest()
    create_files(tmp_path, "01-01-01-01-01-01-01.mp4", content=b"abcd")
    second = recordings.select(tmp_path, VIDEO).digest()
    create_files(tmp_path, "02-01-01-01-01-01-01.mp4")  # of another channel
    assert recordings.select(tmp_path, VIDEO).digest() == second != first


def test_rendered_clips_are_recognized(rendered):
    assert recordings.select(rendered, VIDEO).origin == "rendered"


def test_damaged_archive_member_is_a_truncated_clip(tmp_path):
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as z:
        z.writestr("01-01-01-01-01-01-01.mp4", b"a" * 1000)
    data = bytearray(file.read_bytes())
    data[100] ^= 255
    file.write_bytes(data)
    (recording,) = recordings.select(tmp_path, VIDEO).recordings
    with pytest.raises(errors.ClipError) as raised:
        recording.source()
    assert raised.value.kind == "truncated"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "absent", "absent, which does not exist"),
        (lambda p: (p / "file").write_text("") or p / "file", "file, which is a file"),
        (lambda p: p, "found none"),
        (lambda p: create_files(p, "holidays/beach.jpg") or p, "found none"),
        (lambda p: create_files(p, "03-01-01-01-01-01-01.wav") or p, "found 1 audio_only speech"),
        (lambda p: create_files(p, "x.zip", content=b"no archive") or p, r"x\.zip cannot be read"),
    ],
)
def test_folder_without_recordings_is_an_error_with_instructions(tmp_path, make, message):
    with pytest.raises(errors.UserError, match=message) as raised:
        recordings.select(make(tmp_path), VIDEO)
    if "cannot be read" not in str(raised.value):
        assert "zenodo.org/records/1188976" in str(raised.value)


def test_damaged_or_encrypted_archive_member_is_a_truncated_clip(tmp_path):
    name = "01-01-03-01-01-01-01"
    content = np.random.default_rng(0).bytes(2000) + bytes(60000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"Actor_01/{name}.mp4", content)
    intact = (tmp_path / "a.zip").read_bytes()
    (recording,) = recordings.scan(tmp_path)
    assert recording.source() == content
    for start in range(60, 2000, 150):
        damaged = bytearray(intact)
        damaged[start : start + 40] = bytes(255 - b for b in intact[start : start + 40])
        (tmp_path / "a.zip").write_bytes(damaged)
        with pytest.raises(errors.ClipError, match=r"truncated: damaged in a\.zip"):
            recording.source()
    encrypted = bytearray(intact)
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[intact.index(header) + flags] |= 1  # the flag for encryption
    (tmp_path / "a.zip").write_bytes(encrypted)
    with pytest.raises(errors.ClipError, match="encrypted"):
        recording.source()


def test_broken_link_is_found_and_cannot_be_read(tmp_path):
    (tmp_path / "01-01-03-01-01-01-01.mp4").symlink_to(tmp_path / "gone.mp4")
    (recording,) = recordings.scan(tmp_path)
    assert recording.size == 0
    with pytest.raises(errors.ClipError, match="empty file: a link to a file that does not exist"):
        recording.source()


def test_unrelated_audio_file_does_not_hide_the_videos(tmp_path):
    (tmp_path / "01-01-03-01-01-01-01.mp4").write_bytes(b"x")
    (tmp_path / "notes.wav").write_bytes(b"x")
    selection = recordings.select(tmp_path, [("audio_only",), ("audio_video",)])
    assert names(selection) == ["01-01-03-01-01-01-01"]
