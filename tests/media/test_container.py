"""Tests that unusable files raise the right ClipError and are never silently read in part."""

import os
import subprocess
import sys
import zlib

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.media import audio, video


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    base = np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    return np.stack([np.roll(base, 3 * i, axis=1) for i in range(50)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, images, write_clip, write_audio, sine):
    """A folder with one complete file per container format, with video and audio where possible."""
    folder = tmp_path_factory.mktemp("media")
    voice = sine(200, 2, 48000)
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    write_clip(folder / "plain.mp4", images, waveform=voice)
    write_clip(folder / "faststart.mp4", images, waveform=voice, options={"movflags": "faststart"})
    write_clip(folder / "fragments.mp4", images, waveform=voice, options=fragments)
    write_clip(folder / "plain.mov", images, waveform=voice)
    write_clip(folder / "plain.mkv", images, waveform=voice)
    write_clip(folder / "plain.avi", images, waveform=voice, codec="mpeg4")
    write_clip(folder / "audio_only.mp4", [], waveform=voice)
    write_audio(folder / "plain.wav", voice)
    write_audio(folder / "plain.flac", voice)
    return folder


VIDEOS = ["plain.mp4", "faststart.mp4", "fragments.mp4", "plain.mov", "plain.mkv", "plain.avi"]
AUDIOS = [*VIDEOS, "plain.wav", "plain.flac"]


def problem(function, *args) -> errors.ClipError:
    """Returns the ClipError that a call raises."""
    with pytest.raises(errors.ClipError) as caught:
        function(*args)
    assert len(caught.value.detail) > 10
    return caught.value


def frames(source):
    return video.read_frames(source, [0])


def samples(source):
    return audio.read_audio(source, None)


@pytest.mark.parametrize("name", VIDEOS)
def test_complete_files_are_read_from_a_path_and_from_bytes(folder, name):
    path = folder / name
    assert frames(path).count == frames(str(path)).count == frames(path.read_bytes()).count == 50
    assert abs(len(samples(path)[0]) / 48000 - 2) < 0.06


# Where to cut a file: each maps its size to the number of bytes that remain.
CUTS = {
    "100 bytes": lambda n: 100,
    "10%": lambda n: n // 10,
    "50%": lambda n: n // 2,
    "90%": lambda n: n * 9 // 10,
    "all but 100 bytes": lambda n: n - 100,
    "all but 1 byte": lambda n: n - 1,
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", VIDEOS)
def test_cut_video_is_truncated(folder, name, cut):
    content = (folder / name).read_bytes()
    assert problem(frames, content[: CUTS[cut](len(content))]).kind == "truncated"


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", AUDIOS)
def test_cut_audio_is_truncated(folder, name, cut):
    content = (folder / name).read_bytes()
    assert problem(samples, content[: CUTS[cut](len(content))]).kind == "truncated"


@pytest.mark.parametrize("cut", CUTS)
def test_cut_original_is_truncated(original_clips, tmp_path, cut):
    content = original_clips[0].read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(content[: CUTS[cut](len(content))])
    assert problem(frames, path).kind == "truncated"
    assert problem(samples, path).kind == "truncated"


@pytest.mark.parametrize("name", ["plain.mp4", "faststart.mp4", "plain.avi", "plain.mkv"])
def test_file_with_zeros_in_the_middle_is_truncated(folder, name):
    content = bytearray((folder / name).read_bytes())
    start, length = len(content) // 3, len(content) // 3
    content[start : start + length] = bytes(length)
    assert problem(frames, bytes(content)).kind == "truncated"


def test_missing_data_after_a_complete_index_is_truncated(folder):
    """The box sizes are consistent, but the index refers to packets beyond the end of the file."""
    content = (folder / "faststart.mp4").read_bytes()
    at = content.index(b"mdat") - 4
    shortened = content[:at] + (1000).to_bytes(4, "big") + content[at + 4 : at + 1000]
    assert "the last packet should end" in problem(frames, shortened).detail


def test_empty_file(tmp_path):
    path = tmp_path / "empty.mp4"
    path.touch()
    assert problem(frames, path).kind == problem(samples, b"").kind == "empty file"


def _png() -> bytes:
    def chunk(kind, data):
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    header = (8).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    pixels = zlib.compress(bytes(9 * 8))
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    )


NO_VIDEO = {
    "text": b"This is no video.\n" * 200,
    "one byte": b"x",
    "page": b"<!DOCTYPE html><html><body>404 not found</body></html>",
    "image": _png(),
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.ts\n#EXT-X-ENDLIST\n",
    "list of files": b"ffconcat version 1.0\nfile other.mp4\n",
    "zip": b"PK\x03\x04" + bytes(200),
    "zeros": bytes(5000),
}


@pytest.mark.parametrize("name", NO_VIDEO)
@pytest.mark.parametrize("suffix", [".mp4", ".txt", ".jpg"])
def test_not_a_video(tmp_path, name, suffix):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(NO_VIDEO[name])
    for source in (path, NO_VIDEO[name]):
        for read in (frames, samples):
            assert problem(read, source).kind == "not a video"


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_not_a_video(seed):
    noise = np.random.default_rng(seed).bytes(20000)
    assert problem(frames, noise).kind == problem(samples, noise).kind == "not a video"


def test_files_without_the_requested_stream(folder, tmp_path, images, write_clip):
    assert problem(frames, folder / "audio_only.mp4").kind == "no video stream"
    assert problem(frames, folder / "plain.wav").kind == "no video stream"
    video_only = write_clip(tmp_path / "video_only.mp4", images)
    assert frames(video_only).count == 50
    assert problem(samples, video_only).kind == "no audio"


def test_unreadable_path_is_a_user_error(tmp_path):
    for path in (tmp_path / "absent.mp4", tmp_path):
        with pytest.raises(errors.UserError, match="cannot read") as caught:
            frames(path)
        assert not isinstance(caught.value, errors.ClipError)
        assert str(path) in str(caught.value)


def test_file_name_with_a_colon_is_not_a_url(folder, tmp_path):
    path = tmp_path / "http:clip 50%.mp4"
    path.write_bytes((folder / "plain.mp4").read_bytes())
    assert frames(path).count == 50


def test_ffmpeg_prints_nothing(folder, tmp_path):
    """FFmpeg logs to the stderr of the process, bypassing Python, so a subprocess is needed."""
    content = bytearray((folder / "plain.mp4").read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    (tmp_path / "hole.mp4").write_bytes(content)
    program = (
        "import sys\nfrom mmer_jax import errors\nfrom mmer_jax.media import audio, video\n"
        "for read in (lambda p: video.read_frames(p, [0]), lambda p: audio.read_audio(p, None)):\n"
        "    try: read(sys.argv[1])\n"
        "    except errors.ClipError as e: print(e.kind)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "hole.mp4"], capture_output=True, text=True
    )
    assert (run.stdout, run.stderr) == ("truncated\ntruncated\n", "")


def test_no_file_stays_open(folder, tmp_path):
    """A build opens thousands of files and would run out of leaked handles."""
    content = bytearray((folder / "plain.mp4").read_bytes())
    content[20000:30000] = bytes(10000)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        frames(folder / "plain.mp4")
        samples(folder / "plain.mp4")
        for read in (frames, samples):
            assert problem(read, damaged).kind == "truncated"
    assert len(os.listdir("/dev/fd")) == before
