"""Images of a recording, by exact frame number.

Containers are wrong about how many frames they hold: the original RAVDESS clips declare one more
than decodes. The count here is the number of frames that come out of the decoder.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from mmer_jax import errors
from mmer_jax.media import container as containers
from mmer_jax.media.container import Source

Wanted = Sequence[int] | Callable[[int], Iterable[int]]


@dataclasses.dataclass(frozen=True)
class VideoFrames:
    """Some frames of a recording.

    Attributes:
      count: how many frames the recording holds: those that decode, not those that are declared.
      rate: frames a second, the average.
      images: frame number -> uint8 [height, width, 3], RGB, upright.
      times: frame number -> seconds on the recording's clock.
    """

    count: int
    rate: float
    images: dict[int, np.ndarray]
    times: dict[int, float]


def read_frames(source: Source, wanted: Wanted) -> VideoFrames:
    """Reads the wanted frames; the others are decoded (frames build on each other), not converted.

    Args:
      source: a path, or a file's content.
      wanted: frame numbers from 0, or a function that gets the number of frames and returns them.
        It may be called twice, so it must depend on nothing but that number.

    Raises:
      ClipError: "empty file", "not a video", "no image", or "truncated" (the file ends early, a
        frame does not decode, or clearly fewer decode than the file holds packets for).
      IndexError: a wanted frame is not in the recording.
      UserError: there is no such file.
    """
    choose = wanted if callable(wanted) else lambda count: wanted
    with containers.open_media(source) as container:
        count = _count_packets(container)
    # One pass is enough unless the guess was wrong: then what was chosen for it may be wrong too.
    while True:
        numbers = frozenset(choose(count))
        frames = _decode(source, numbers, count)
        if frames.count == count or not callable(wanted):
            break
        count = frames.count
    if absent := sorted(numbers - frames.images.keys()):
        raise IndexError(f"frames {absent} of a recording of {frames.count}")
    return frames


def iter_frames(source: Source) -> Iterator[tuple[int, float, np.ndarray]]:
    """Every frame in order, one in memory at a time: (number, seconds, uint8 [h, w, 3] RGB).

    Raises:
      ClipError: as read_frames does; "truncated" may come after the last good frame.
    """
    with containers.open_media(source) as container:
        expected = _count_packets(container)
    with containers.open_media(source) as container:
        convert = _Converter()
        count = 0
        for number, time, frame in _frames(container):
            yield number, time, convert(frame)
            count = number + 1
    _check_count(count, expected)


def _decode(source: Source, numbers: frozenset[int], expected: int) -> VideoFrames:
    images, times, count = {}, {}, 0
    convert = _Converter()
    with containers.open_media(source) as container:
        rate = float(_image_stream(container).average_rate or 0)
        for number, time, frame in _frames(container):
            if number in numbers:
                images[number], times[number] = convert(frame), time
            count = number + 1
    _check_count(count, expected)
    return VideoFrames(count, rate, images, times)


def _frames(container) -> Iterator[tuple[int, float, av.VideoFrame]]:
    stream = _image_stream(container)
    # Clips are spread over processes; threads inside each would only compete.
    stream.codec_context.thread_count = 1
    rate = float(stream.average_rate or 1)
    for number, frame in enumerate(container.decode(stream)):
        yield number, number / rate if frame.time is None else frame.time, frame


def _count_packets(container) -> int:
    """How many frames should decode: packets of the image that are not marked as edited out."""
    stream = _image_stream(container)
    count, end = 0, 0.0
    # All streams are read, since the longest decides whether the file is complete.
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
        raise errors.ClipError("truncated", f"{declared} frames are declared, {count} are there")
    return count


def _check_count(count: int, expected: int) -> None:
    if count == 0 or count < expected - _tolerance(expected):
        raise errors.ClipError("truncated", f"of {expected} frames in the file {count} decode")


def _tolerance(count: int) -> int:
    # Frames before the first key frame, frames that are never shown: a few packets give no image
    # in files that are whole.
    return max(2, count // 10)


def _image_stream(container) -> av.VideoStream:
    for stream in container.streams.video:
        # Cover art in an audio file is a "video" of one still image.
        if not stream.disposition & stream.disposition.attached_pic:
            return stream
    raise errors.ClipError(
        "no image", f"the file ({container.format.long_name}) has no video track"
    )


class _Converter:
    """Decoded frame -> uint8 RGB, upright. One scaler for all: making one is slow."""

    def __init__(self):
        self._scaler = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        image = self._scaler.reformat(frame, format="rgb24", threads=1).to_ndarray()
        # Telephones store the image as the sensor saw it, and beside it the turn to upright.
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
