"""Frames by exact number, in their own colors, the right way up."""

import av
import cv2
import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.media import video


def numbered(count, height=64, width=96):
    """Frames that say their number: eight bars, black or white, one for each bit."""
    bits = (np.arange(count)[:, None] >> np.arange(8)) & 1
    bars = np.repeat(bits * 255, width // 8, axis=1).astype(np.uint8)
    return np.broadcast_to(bars[:, None, :, None], (count, height, width, 3))


def number(image) -> int:
    bars = image.mean(axis=(0, 2)).reshape(8, -1).mean(axis=1) > 127
    return int((bars << np.arange(8)).sum())


@pytest.fixture(scope="module")
def clip(tmp_path_factory, write_clip, sine):
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    return write_clip(path, numbered(120), rate=30000 / 1001, waveform=sine(200, 4, 48000))


def test_each_frame_is_the_one_asked_for(clip):
    wanted = [0, 1, 2, 57, 58, 118, 119]
    frames = video.read_frames(clip, wanted)
    assert frames.count == 120
    assert frames.rate == pytest.approx(30000 / 1001)
    assert sorted(frames.images) == sorted(frames.times) == wanted
    assert [number(frames.images[i]) for i in wanted] == wanted
    for i in wanted:
        assert frames.times[i] == pytest.approx(i * 1001 / 30000, abs=1e-3)
        assert frames.images[i].shape == (64, 96, 3)
        assert frames.images[i].dtype == np.uint8


def test_a_function_gets_the_exact_count(clip):
    seen = []
    frames = video.read_frames(clip, lambda count: seen.append(count) or [count - 1])
    assert seen == [120]
    assert number(frames.images[119]) == 119


def test_a_wrong_guess_is_put_right(clip, monkeypatch):
    """Where packets and frames differ, the choice is made again for the number that decodes."""
    monkeypatch.setattr(video, "_count_packets", lambda container: 121)
    seen = []
    frames = video.read_frames(clip, lambda count: seen.append(count) or [count - 1])
    assert seen == [121, 120]
    assert frames.count == 120
    assert sorted(frames.images) == [119]


def test_only_wanted_frames_are_converted_and_one_pass_is_made(clip, monkeypatch):
    converted, opened = [], []
    convert, decode = video._Converter.__call__, video._decode
    monkeypatch.setattr(
        video._Converter, "__call__", lambda self, f: converted.append(f) or convert(self, f)
    )
    monkeypatch.setattr(video, "_decode", lambda *a: opened.append(a) or decode(*a))
    video.read_frames(clip, lambda count: [3, 5, 3])
    assert len(converted) == 2
    assert len(opened) == 1


def test_a_frame_beyond_the_end_is_an_error(clip):
    with pytest.raises(IndexError, match=r"\[120, 500\] of a recording of 120"):
        video.read_frames(clip, [5, 120, 500])


def test_iter_frames_gives_the_same_frames_in_order(clip):
    all_frames = video.read_frames(clip, range(120))
    for i, (index, time, image) in enumerate(video.iter_frames(clip)):
        assert index == i
        assert time == all_frames.times[i]
        assert np.array_equal(image, all_frames.images[i])
    assert i == 119


def test_iter_frames_refuses_a_cut_clip(clip):
    with pytest.raises(errors.ClipError, match="truncated"):
        list(video.iter_frames(clip.read_bytes()[:20000]))


@pytest.mark.parametrize(
    "color", [(200, 30, 30), (30, 200, 30), (30, 30, 200), (250, 250, 250), (90, 60, 40)]
)
def test_colors_survive(tmp_path, write_clip, color):
    """A red patch stays red, on the right side of an image that is gray elsewhere."""
    images = np.full((5, 64, 96, 3), 128, np.uint8)
    images[:, 16:48, 48:80] = color
    image = video.read_frames(write_clip(tmp_path / "patch.mp4", images), [3]).images[3]
    assert np.abs(image[24:40, 56:72].mean(axis=(0, 1)) - color).max() < 6
    assert np.abs(image[24:40, 8:40].mean(axis=(0, 1)) - 128).max() < 6


def test_high_definition_colors_are_decoded_by_the_files_own_matrix(tmp_path):
    """The original clips are marked BT.709. Y'CbCr of pure red there is (63, 102, 240)."""
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


def test_a_turned_telephone_clip_comes_out_upright(tmp_path, write_clip):
    """The sensor's image is stored; the file says by how much to turn it."""
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


def test_original_clips_decode_one_frame_less_than_they_declare(original_clips):
    for path in original_clips[:2]:
        with av.open(str(path)) as container:
            declared = container.streams.video[0].frames
        with av.open(str(path)) as container:
            decoded = sum(1 for _ in container.decode(video=0))
        seen = []
        frames = video.read_frames(path, lambda count: seen.append(count) or [1, count - 1])  # noqa: B023
        assert seen == [frames.count] == [decoded] == [declared - 1]
        assert frames.rate == pytest.approx(30000 / 1001)
        assert frames.images[1].shape == (720, 1280, 3)
        assert frames.times[decoded - 1] == pytest.approx((decoded - 1) * 1001 / 30000)


def test_original_clips_agree_with_another_reader(original_clips):
    """OpenCV's own decoder and color conversion, frame by frame."""
    wanted = [0, 13, 40]
    frames = video.read_frames(original_clips[0], wanted)
    capture = cv2.VideoCapture(str(original_clips[0]))
    for i in range(max(wanted) + 1):
        image = capture.read()[1][..., ::-1]
        if i in wanted:
            assert np.abs(image.astype(int) - frames.images[i]).mean() < 2
