"""Tests of reading frames: exact indices, colors and orientation."""

import types

import av
import cv2
import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.media import video


def numbered_frames(count, height=64, width=96):
    """Returns frames that encode their index: eight black or white bars, one for each bit."""
    bits = (np.arange(count)[:, None] >> np.arange(8)) & 1
    bars = np.repeat(bits * 255, width // 8, axis=1).astype(np.uint8)
    return np.broadcast_to(bars[:, None, :, None], (count, height, width, 3))


def decode_index(image) -> int:
    bars = image.mean(axis=(0, 2)).reshape(8, -1).mean(axis=1) > 127
    return int((bars << np.arange(8)).sum())


@pytest.fixture(scope="module")
def clip(tmp_path_factory, write_clip, sine):
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    return write_clip(path, numbered_frames(120), rate=30000 / 1001, waveform=sine(200, 4, 48000))


def test_each_frame_has_the_requested_index(clip):
    indices = [0, 1, 2, 57, 58, 118, 119]
    frames = video.read_frames(clip, indices)
    assert frames.count == 120
    assert frames.rate == pytest.approx(30000 / 1001)
    assert sorted(frames.images) == sorted(frames.times) == indices
    assert [decode_index(frames.images[i]) for i in indices] == indices
    for i in indices:
        assert frames.times[i] == pytest.approx(i * 1001 / 30000, abs=1e-3)
        assert frames.images[i].shape == (64, 96, 3)
        assert frames.images[i].dtype == np.uint8


def test_function_gets_the_exact_count(clip):
    counts = []
    frames = video.read_frames(clip, lambda count: counts.append(count) or [count - 1])
    assert counts == [120]
    assert decode_index(frames.images[119]) == 119


def test_wrong_packet_count_is_corrected(clip, monkeypatch):
    """If fewer frames than packets decode, the indices are selected again for the right count."""
    monkeypatch.setattr(video, "_count_packets", lambda container: 121)
    counts = []
    frames = video.read_frames(clip, lambda count: counts.append(count) or [count - 1])
    assert counts == [121, 120]
    assert frames.count == 120
    assert sorted(frames.images) == [119]


def test_only_requested_frames_are_converted_in_one_pass(clip, monkeypatch):
    converted, passes = [], []
    convert, decode = video._Converter.__call__, video._decode
    monkeypatch.setattr(
        video._Converter, "__call__", lambda self, f: converted.append(f) or convert(self, f)
    )
    monkeypatch.setattr(video, "_decode", lambda *a: passes.append(a) or decode(*a))
    video.read_frames(clip, lambda count: [3, 5, 3])
    assert len(converted) == 2
    assert len(passes) == 1


def test_frame_beyond_the_end_is_an_error(clip):
    with pytest.raises(IndexError, match=r"\[120, 500\] of a recording of 120"):
        video.read_frames(clip, [5, 120, 500])


def test_iter_frames_yields_the_same_frames_in_order(clip):
    all_frames = video.read_frames(clip, range(120))
    for i, (index, time, image) in enumerate(video.iter_frames(clip)):
        assert index == i
        assert time == all_frames.times[i]
        assert np.array_equal(image, all_frames.images[i])
    assert i == 119


@pytest.mark.parametrize(("declared", "present", "complete"), [(120, 109, True), (120, 107, False)])
def test_a_tenth_of_the_declared_frames_may_be_missing(declared, present, complete):
    stream = types.SimpleNamespace(
        frames=declared, disposition=av.stream.Disposition(0), average_rate=25
    )
    packet = types.SimpleNamespace(size=1, stream=stream, is_discard=False, pts=None)
    container = types.SimpleNamespace(
        streams=types.SimpleNamespace(video=[stream]),
        demux=lambda: [packet] * present,
        duration=None,
    )
    if complete:
        assert video._count_packets(container) == present
    else:
        with pytest.raises(errors.ClipError, match="declares 120 frames, only 107 are present"):
            video._count_packets(container)


def test_iter_frames_refuses_a_truncated_clip(clip):
    with pytest.raises(errors.ClipError, match="truncated"):
        list(video.iter_frames(clip.read_bytes()[:20000]))


@pytest.mark.parametrize(
    "color", [(200, 30, 30), (30, 200, 30), (30, 30, 200), (250, 250, 250), (90, 60, 40)]
)
def test_colors_are_preserved(tmp_path, write_clip, color):
    """A patch on a gray image keeps its color and position."""
    images = np.full((5, 64, 96, 3), 128, np.uint8)
    images[:, 16:48, 48:80] = color
    image = video.read_frames(write_clip(tmp_path / "patch.mp4", images), [3]).images[3]
    assert np.abs(image[24:40, 56:72].mean(axis=(0, 1)) - color).max() < 6
    assert np.abs(image[24:40, 8:40].mean(axis=(0, 1)) - 128).max() < 6


def test_colors_are_decoded_with_the_matrix_that_the_file_declares(tmp_path):
    """The original clips declare BT.709, in which Y'CbCr of pure red is (63, 102, 240)."""
    path = tmp_path / "red709.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.colorspace = 1
        stream.codec_context.color_range = 1
        stream.options = {"crf": "5"}
        planes = np.concatenate([np.full((64, 64), 63), np.full((16, 64), 102)])
        planes = np.concatenate([planes, np.full((16, 64), 240)]).astype(np.uint8)
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.colorspace, frame.color_range = 1, 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    image = video.read_frames(path, [2]).images[2]
    assert np.abs(image.reshape(-1, 3).astype(int) - (255, 0, 0)).max() <= 3


def test_rotated_phone_clip_is_returned_upright(tmp_path, write_clip):
    """The sensor's image is stored as is; the rotation is in the file's metadata."""
    upright = np.zeros((4, 96, 64, 3), np.uint8)
    upright[:, :32] = 255  # the sky is bright
    stored = np.rot90(upright, -1, axes=(1, 2))
    content = bytearray(write_clip(tmp_path / "turned.mp4", stored).read_bytes())
    # The matrix of the track header: 90 degrees counterclockwise, as 16.16 fixed point numbers.
    at = content.index(b"tkhd") + 4 + 40
    matrix = np.array([0, -(1 << 16), 0, 1 << 16, 0, 0, 0, 0, 1 << 30], ">i4")
    content[at : at + 36] = matrix.tobytes()
    image = video.read_frames(bytes(content), [1]).images[1]
    assert image.shape == (96, 64, 3)
    assert image[:24].mean() > 240
    assert image[40:].mean() < 15


def test_original_clips_decode_one_frame_fewer_than_they_declare(original_clips):
    for path in original_clips[:2]:
        with av.open(str(path)) as container:
            declared = container.streams.video[0].frames
        with av.open(str(path)) as container:
            decoded = sum(1 for _ in container.decode(video=0))
        counts = []
        frames = video.read_frames(path, lambda count: counts.append(count) or [1, count - 1])  # noqa: B023
        assert counts == [frames.count] == [decoded] == [declared - 1]
        assert frames.rate == pytest.approx(30000 / 1001)
        assert frames.images[1].shape == (720, 1280, 3)
        assert frames.times[decoded - 1] == pytest.approx((decoded - 1) * 1001 / 30000)


def test_frames_of_original_clips_match_opencv(original_clips):
    """OpenCV decodes and converts colors with code of its own."""
    indices = [0, 13, 40]
    frames = video.read_frames(original_clips[0], indices)
    capture = cv2.VideoCapture(str(original_clips[0]))
    for i in range(max(indices) + 1):
        image = capture.read()[1][..., ::-1]
        if i in indices:
            assert np.abs(image.astype(int) - frames.images[i]).mean() < 2
