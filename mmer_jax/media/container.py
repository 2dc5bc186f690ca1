"""Opening a recording, and saying in words what is wrong with one that cannot be used.

FFmpeg reads on over almost any damage and hands out what is left: a clip cut in half becomes a
shorter clip. Nothing after that could tell it from a whole one, so the file is compared with what
it promises, before and after decoding, and a difference is a ClipError.
"""

import contextlib
import io
import os
import struct
from collections.abc import Iterator

import av
from av.container import InputContainer

from mmer_jax import errors

# What a recording may be read from: a path, or a file's content (a member of a zip archive).
Source = str | os.PathLike | bytes

# Containers that mark themselves. Left out are formats that FFmpeg would guess from a suffix or
# from nearly any bytes (text shown as video, raw streams), still images, and playlists, which
# open other files.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,asf,flv,ogg,wav,w64,flac,aiff,caf,dv,mxf"
)

_EBML = b"\x1a\x45\xdf\xa3"

# Top-level boxes of .mp4 and .mov files (ISO/IEC 14496-12, QuickTime). Others end the walk.
_BOXES = frozenset(
    b"ftyp moov mdat moof mfra free skip wide uuid udta meta pnot styp sidx ssix prft".split()
)


@contextlib.contextmanager
def open_media(source: Source) -> Iterator[InputContainer]:
    """Opens a recording; inside the block FFmpeg's errors become ClipErrors.

    Raises:
      ClipError: "empty file", "not a video", or "truncated" where the file ends before what its
        own index promises, or where a part of it cannot be decoded.
      UserError: there is no such file, or it cannot be read.
    """
    if not isinstance(source, bytes):
        _check_readable(source)
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        size = file.seek(0, io.SEEK_END)
        if size == 0:
            raise errors.ClipError("empty file", "the file has 0 bytes")
        if missing := _cut_short(file, size):
            raise errors.ClipError("truncated", missing)
        file.seek(0)
        # FFmpeg reads a path itself, faster than through Python. "file:" keeps a colon in a name
        # from being taken for a protocol.
        opened = file if isinstance(source, bytes) else f"file:{os.fspath(source)}"
        try:
            container = av.open(opened, options={"format_whitelist": CONTAINERS})
        except av.EOFError:
            raise errors.ClipError("truncated", f"nothing but a header in {size} bytes") from None
        except (av.FFmpegError, ValueError) as error:
            raise errors.ClipError(
                "not a video", f"no known kind of video or audio file ({_reason(error)})"
            ) from None
        with container:
            if missing := _index_beyond_end(container, size):
                raise errors.ClipError("truncated", missing)
            try:
                yield container
            except av.FFmpegError as error:
                raise errors.ClipError(
                    "truncated", f"a part of the file is missing or damaged ({_reason(error)})"
                ) from None


def check_duration(container: InputContainer, end: float) -> None:
    """Refuses a recording whose streams end well before the length that its header states.

    Args:
      container: an open recording.
      end: when the last packet of any stream ends, in seconds on the streams' clock.

    Raises:
      ClipError: "truncated".
    """
    if container.duration is None:
        return
    stated = ((container.start_time or 0) + container.duration) / av.time_base
    if end < stated - 0.5:
        raise errors.ClipError(
            "truncated", f"the header states {stated:.2f} s, the content ends after {end:.2f} s"
        )


def _check_readable(path: str | os.PathLike) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise errors.UserError(f"cannot read {os.fspath(path)}: {error.strerror}") from None


def _cut_short(file: io.BufferedIOBase, size: int) -> str | None:
    """What a file lacks by the sizes that its outermost parts state; None if nothing is known.

    MPEG transport streams state none: cut between two packets, they cannot be told from whole ones.
    """
    file.seek(0)
    start = file.read(128)
    stated = None
    if start[:4] == b"RIFF":
        stated = _riff_size(start)
    elif start[:4] == _EBML:
        stated = _matroska_size(start)
    else:
        return _boxes_missing(file, size)
    if stated is not None and stated > size:
        return f"the header states {stated} bytes, the file has {size}"
    return None


def _riff_size(start: bytes) -> int | None:
    """The size that an .avi or .wav file states; live writers leave 0 or all ones."""
    stated = struct.unpack("<I", start[4:8].ljust(4, b"\0"))[0]
    return None if stated in (0, 0xFFFFFFFF) else stated + 8


def _matroska_size(start: bytes) -> int | None:
    """The size that an .mkv or .webm file states: header, then one segment (RFC 8794, RFC 9559)."""

    def number(at: int) -> tuple[int | None, int]:
        # The leading zero bits of the first byte count the bytes that follow; all ones is unknown.
        width = 9 - start[at].bit_length()
        value = int.from_bytes(start[at : at + width], "big") & ((1 << 7 * width) - 1)
        return (None if value == (1 << 7 * width) - 1 else value), at + width

    try:
        header, at = number(4)
        segment, at = number(at + (header or 0) + 4)  # 4: the segment's own mark
    except IndexError:  # the header alone is longer than what was read: FFmpeg decides
        return None
    return None if segment is None else at + segment


def _boxes_missing(file: io.BufferedIOBase, size: int) -> str | None:
    """What an .mp4 or .mov file lacks by the sizes of its boxes; None for any other file."""
    position, seen = 0, set()
    while position < size:
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            return f"the file ends within a box header, at byte {size}" if seen else None
        length, kind = struct.unpack(">I4s", header[:8])
        if kind not in _BOXES:
            break
        seen.add(kind)
        if length == 1 and len(header) == 16:
            length = struct.unpack(">Q", header[8:])[0]
        elif length == 0:  # to the end of the file
            length = size - position
        if length < 8:
            break
        position += length
        if position > size:
            return (
                f"its '{kind.decode()}' box should reach byte {position},"
                f" the file ends at byte {size}"
            )
    if seen & {b"ftyp", b"mdat"} and b"moov" not in seen:
        return f"an .mp4 file without its index (the 'moov' box), {size} bytes long"
    return None


def _index_beyond_end(container: InputContainer, size: int) -> str | None:
    # Only this family's index gives the place and size of every packet; others give seek points.
    if "mp4" not in container.format.name:
        return None
    end = max((e.pos + e.size for s in container.streams for e in s.index_entries), default=0)
    if end > size:
        return f"the last packet should reach byte {end}, the file ends at byte {size}"
    return None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
