"""Frames of a recording by their exact index.

The frame count that a container declares is not reliable: the original RAVDESS clips declare one
frame more than decodes. Here the count is the number of frames that the decoder returns.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

import av
import numpy as np
from av.container import InputContainer
from av.video.reformatter import VideoReformatter

from mmer_jax import errors
from mmer_jax.media import container as containers
from mmer_jax.media.container import Source

# Frame indices from 0, or a function of the number of frames that returns frame indices.
FrameIndices = Sequence[int] | Callable[[int], Iterable[int]]


@dataclasses.dataclass(frozen=True)
class VideoFrames:
    """Selected frames of a recording.

    Attributes:
      count: Number of frames that can be decoded, which may differ from the declared number.
      rate: Average number of frames per second.
      images: Frame index -> uint8 [height, width, 3], RGB, upright.
      times: Frame index -> time in seconds on the clock of the recording.
    """

    count: int
    rate: float
    images: dict[int, np.ndarray]
    times: dict[int, float]


def read_frames(source: Source, indices: FrameIndices) -> VideoFrames:
    """Reads the frames with the given indices.

    All frames are decoded, since frames depend on each other; only the requested frames are
    converted to RGB.

    Args:
      source: A path, or the content of a file.
      indices: Frame indices from 0, or a function of the number of frames that returns frame
        indices. The function may be called several times and must depend only on this number.

    Raises:
      ClipError: "empty file", "not a video", "no video stream", or "truncated" (the file ends
        early, a frame does not decode, or clearly fewer frames decode than there are packets).
      IndexError: If the recording does not have a requested frame.
      UserError: If the file does not exist or cannot be read.
    """
    select = indices if callable(indices) else lambda count: indices
    with containers.open_media(source) as container:
        count = _count_packets(container)
    # One pass suffices if the number of packets is the number of frames. Otherwise the indices were
    # selected for a wrong number and may be wrong too.
    while True:
        selected = frozenset(select(count))
        frames = _decode(source, selected, count)
        if frames.count == count or not callable(indices):
            break
        count = frames.count
    if missing := sorted(selected - frames.images.keys()):
        raise IndexError(f"frames {missing} of a recording of {frames.count}")
    return frames


def iter_frames(source: Source) -> Iterator[tuple[int, float, np.ndarray]]:
    """Iterates over all frames in order, with one frame in memory at a time.

    Args:
      source: A path, or the content of a file.

    Yields:
      (frame index from 0, time in seconds, image uint8 [h, w, 3] RGB, upright).

    Raises:
      ClipError: "empty file", "not a video", "no video stream" or "truncated", which may be raised
        after the last good frame.
      UserError: If the file does not exist or cannot be read.
    """
    with containers.open_media(source) as container:
        expected = _count_packets(container)
    with containers.open_media(source) as container:
        convert = _Converter()
        count = 0
        for index, time, frame in _iter_decoded(container):
            yield index, time, convert(frame)
            count = index + 1
    _check_count(count, expected)


def _decode(source: Source, indices: frozenset[int], expected: int) -> VideoFrames:
    images, times, count = {}, {}, 0
    convert = _Converter()
    with containers.open_media(source) as container:
        rate = float(_video_stream(container).average_rate or 0)
        for index, time, frame in _iter_decoded(container):
            if index in indices:
                images[index], times[index] = convert(frame), time
            count = index + 1
    _check_count(count, expected)
    return VideoFrames(count, rate, images, times)


def _iter_decoded(container: InputContainer) -> Iterator[tuple[int, float, av.VideoFrame]]:
    stream = _video_stream(container)
    # Clips are decoded in parallel processes; threads within each would compete with them.
    stream.codec_context.thread_count = 1
    rate = float(stream.average_rate or 1)
    for index, frame in enumerate(container.decode(stream)):
        yield index, index / rate if frame.time is None else frame.time, frame


def _count_packets(container: InputContainer) -> int:
    """Returns the expected number of frames: video packets that are not marked as discarded.

    Raises:
      ClipError: "no video stream", or "truncated" if packets are missing.
    """
    stream = _video_stream(container)
    count, end = 0, 0.0
    # All streams are read, since the longest one shows whether the file is complete.
    for packet in container.demux():
        if not packet.size:
            continue
        if packet.stream is stream and not packet.is_discard:
            count += 1
        if packet.pts is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    containers.check_duration(container, end)
    declared = stream.frames
    if count < declared - _tolerance(declared):
        raise errors.ClipError(
            "truncated", f"the file declares {declared} frames, only {count} are present"
        )
    return count


def _check_count(count: int, expected: int) -> None:
    if count == 0 or count < expected - _tolerance(expected):
        raise errors.ClipError("truncated", f"only {count} of {expected} frames decode")


def _tolerance(count: int) -> int:
    # Even in complete files a few packets give no image: frames before the first key frame, and
    # frames that are never shown.
    return max(2, count // 10)


def _video_stream(container: InputContainer) -> av.VideoStream:
    for stream in container.streams.video:
        # Cover art in an audio file is a "video stream" of one still image.
        if not stream.disposition & stream.disposition.attached_pic:
            return stream
    raise errors.ClipError(
        "no video stream", f"the file ({container.format.long_name}) has no video track"
    )


class _Converter:
    """Function that converts a decoded frame to an upright image, uint8 [h, w, 3] RGB.

    The scaler is reused, since it is slow to create.
    """

    def __init__(self):
        self._scaler = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        image = self._scaler.reformat(frame, format="rgb24", threads=1).to_ndarray()
        # Phones store the image of the sensor, and as metadata the rotation that makes it upright.
        quarter_turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image
