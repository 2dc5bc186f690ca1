"""Opening of recordings and detection of damaged ones.

FFmpeg reads past almost any damage and returns what can be decoded: a clip cut in half becomes a
shorter clip, which later code cannot tell from a complete one. The size and the duration of a file
are therefore compared with those that its headers declare, before and after decoding. A file that
is shorter than declared raises a ClipError.
"""

import contextlib
import io
import os
import struct
from collections.abc import Iterator

import av
from av.container import InputContainer

from mmer_jax import errors

# A recording is read from a path or from a file's content (a member of a zip archive).
Source = str | os.PathLike | bytes

# Container formats with a signature. Excluded are formats that FFmpeg guesses from a suffix or from
# nearly any bytes (text rendered as video, raw streams), still images, and playlists, which open
# other files.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,asf,flv,ogg,wav,w64,flac,aiff,caf,dv,mxf"
)

_EBML = b"\x1a\x45\xdf\xa3"

# Top-level boxes of .mp4 and .mov files (ISO/IEC 14496-12, QuickTime). Any other box ends the
# check.
_BOXES = frozenset(
    b"ftyp moov mdat moof mfra free skip wide uuid udta meta pnot styp sidx ssix prft".split()
)


@contextlib.contextmanager
def open_media(source: Source) -> Iterator[InputContainer]:
    """Opens a recording; FFmpeg errors raised inside the block become ClipErrors.

    Args:
      source: A path, or the content of a file.

    Yields:
      The open container.

    Raises:
      ClipError: "empty file", "not a video", or "truncated" if the file is shorter than its headers
        or its index declare, or if data cannot be decoded inside the block.
      UserError: If the file does not exist or cannot be read.
    """
    if not isinstance(source, bytes):
        _check_readable(source)
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        size = file.seek(0, io.SEEK_END)
        if size == 0:
            raise errors.ClipError("empty file", "the file has 0 bytes")
        if problem := _find_size_mismatch(file, size):
            raise errors.ClipError("truncated", problem)
        file.seek(0)
        # FFmpeg opens a path itself, which is faster than reading through Python. Without "file:" a
        # colon in a name would be taken for the end of a protocol.
        opened = file if isinstance(source, bytes) else f"file:{os.fspath(source)}"
        try:
            container = av.open(opened, options={"format_whitelist": CONTAINERS})
        except av.EOFError:
            raise errors.ClipError(
                "truncated", f"the file has only a header, {size} bytes long"
            ) from None
        except (av.FFmpegError, ValueError) as error:
            raise errors.ClipError(
                "not a video", f"not a supported video or audio format ({_reason(error)})"
            ) from None
        with container:
            if problem := _find_packet_beyond_end(container, size):
                raise errors.ClipError("truncated", problem)
            try:
                yield container
            except av.FFmpegError as error:
                raise errors.ClipError(
                    "truncated", f"data is missing or damaged ({_reason(error)})"
                ) from None


def check_duration(container: InputContainer, end: float) -> None:
    """Checks that the streams do not end well before the duration that the header declares.

    Args:
      container: An open recording.
      end: Time at which the last packet of any stream ends, in seconds on the clock of the streams.

    Raises:
      ClipError: "truncated", if the streams end more than half a second early.
    """
    if container.duration is None:
        return
    declared = ((container.start_time or 0) + container.duration) / av.time_base
    if end < declared - 0.5:
        raise errors.ClipError(
            "truncated",
            f"the header declares {declared:.2f} s, the streams end after {end:.2f} s",
        )


def _check_readable(path: str | os.PathLike) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise errors.UserError(f"cannot read {os.fspath(path)}: {error.strerror}") from None


def _find_size_mismatch(file: io.BufferedIOBase, size: int) -> str | None:
    """Checks that a file is not shorter than its outermost headers declare.

    MPEG transport streams declare no size: a stream that is cut between two packets is not
    detected.

    Args:
      file: The open file.
      size: Size of the file in bytes.

    Returns:
      A description of the difference for users, or None if there is none.
    """
    file.seek(0)
    start = file.read(128)
    if start[:4] == b"RIFF":
        declared = _riff_size(start)
    elif start[:4] == _EBML:
        declared = _matroska_size(start)
    else:
        return _find_box_mismatch(file, size)
    if declared is not None and declared > size:
        return f"the header declares {declared} bytes, the file has {size}"
    return None


def _riff_size(start: bytes) -> int | None:
    """Returns the size in bytes that an .avi or .wav file declares.

    Returns None for the sizes 0 and 0xFFFFFFFF, which programs write when they do not know the
    size.
    """
    declared = struct.unpack("<I", start[4:8].ljust(4, b"\0"))[0]
    return None if declared in (0, 0xFFFFFFFF) else declared + 8


def _matroska_size(start: bytes) -> int | None:
    """Returns the size in bytes that an .mkv or .webm file declares for its header and segment.

    Returns None if the size is declared as unknown or lies beyond `start`. The format is described
    in RFC 8794 (EBML) and RFC 9559 (Matroska).
    """

    def read_number(at: int) -> tuple[int | None, int]:
        # The number of leading zero bits of the first byte is the number of bytes that follow. All
        # ones mean that the size is unknown.
        width = 9 - start[at].bit_length()
        value = int.from_bytes(start[at : at + width], "big") & ((1 << 7 * width) - 1)
        return (None if value == (1 << 7 * width) - 1 else value), at + width

    try:
        header, at = read_number(4)
        segment, at = read_number(at + (header or 0) + 4)  # 4: length of the segment's ID
    except IndexError:  # the header is longer than `start`: leave the check to FFmpeg
        return None
    return None if segment is None else at + segment


def _find_box_mismatch(file: io.BufferedIOBase, size: int) -> str | None:
    """Checks that an .mp4 or .mov file is not shorter than its boxes declare.

    Returns:
      A description of the difference for users; None if there is none or the file is of another
      format.
    """
    position, kinds = 0, set()
    while position < size:
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            return f"the file ends within a box header, at byte {size}" if kinds else None
        length, kind = struct.unpack(">I4s", header[:8])
        if kind not in _BOXES:
            break
        kinds.add(kind)
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        elif length == 0:  # the box extends to the end of the file
            length = size - position
        if length < 8:
            break
        position += length
        if position > size:
            return (
                f"its '{kind.decode()}' box should end at byte {position},"
                f" the file ends at byte {size}"
            )
    if kinds & {b"ftyp", b"mdat"} and b"moov" not in kinds:
        return f"an .mp4 file without its index (the 'moov' box), {size} bytes long"
    return None


def _find_packet_beyond_end(container: InputContainer, size: int) -> str | None:
    """Describes to users a packet of the index that ends beyond the file; None if there is none."""
    # Only .mp4 and .mov have an index with the offset and size of every packet; other formats list
    # seek points.
    if "mp4" not in container.format.name:
        return None
    end = max((e.pos + e.size for s in container.streams for e in s.index_entries), default=0)
    if end > size:
        return f"the last packet should end at byte {end}, the file ends at byte {size}"
    return None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
