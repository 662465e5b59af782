"""Opening media files: which containers are read, and which plain word is said about a file that is none."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.container
import av.stream
import av.video.stream

from ..records import Unusable

# The demuxers that may look at a file, and the suffixes by which a folder's files are taken for theirs. FFmpeg has
# hundreds, among them ones that make "video" of plain text (tty), read still images, or open other files and addresses
# that a text file names (hls, concat, sdp). Suffixes that mostly mean something else (.ogg, .dat, .avif) are left out.
PICTURES = {
    "mov,mp4,m4a,3gp,3g2,mj2": ".mp4 .m4v .mov .qt .3gp .3gpp .3g2 .f4v .ismv .mj2",
    "matroska,webm": ".mkv .webm .mk3d",
    "avi": ".avi .divx",
    "mpeg": ".mpg .mpeg .mpe .vob .m2p .mod",
    "mpegvideo": ".m1v .m2v",
    "mpegts": ".ts .mts .m2ts .m2t .tp .trp .tod",
    "flv": ".flv",
    "asf": ".asf .wmv",
    "ogg": ".ogv .ogm",
    "nut": ".nut",
    "mxf": ".mxf",
    "gif": ".gif",
    "rm": ".rm .rmvb",
    "dv": ".dv .dif",
    "ivf": ".ivf",
    "h264": ".h264 .264 .avc .h26l",
    "hevc": ".hevc .h265 .265",
    "m4v": ".m4v",
    "mjpeg": ".mjpeg .mjpg",
    "obu": ".obu",
    "vc1": ".vc1",
    "wtv": ".wtv",
    "yuv4mpegpipe": ".y4m",
}
SOUNDS = {
    "mp3": ".mp3 .mp2 .m2a .mpa",
    "wav": ".wav",
    "w64": ".w64",
    "flac": ".flac",
    "aac": ".aac",
    "ac3": ".ac3",
    "eac3": ".eac3 .ec3",
    "aiff": ".aiff .aif",
    "au": ".au",
    "caf": ".caf",
    "amr": ".amr",
    "ape": ".ape .apl .mac",
    "tta": ".tta",
    "wv": ".wv",
}
VIDEO_SUFFIXES = frozenset(" ".join(PICTURES.values()).split())
# Also the sound that comes in the containers of the pictures.
SOUND_SUFFIXES = frozenset(" ".join([*SOUNDS.values(), ".m4a .m4b .isma .mka .wma .ra .ogg .oga .opus"]).split())
_FORMATS = ",".join([*PICTURES, *SOUNDS])
# Streams without a container's index: what lavf says of their length is a guess, and after a seek their times are too.
UNINDEXED = frozenset(["mpeg", "mpegvideo", "h264", "hevc", "m4v", "mjpeg", "obu", "vc1", "mp3", "aac", "ac3", "eac3"])
_MAX_PIXELS = 1 << 26  # twice 8K: a damaged header may announce any size, and the decoder would allocate it

# How files begin that a recorder or muxer wrote: if such a file cannot be opened it is broken, not something else.
_MAGIC = (b"\x1a\x45\xdf\xa3", b"RIFF", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"FLV\x01", b"\x30\x26\xb2\x75")
_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


@contextmanager
def open_media(path: Path) -> Iterator[av.container.InputContainer]:
    """Open a video or sound file; anything else raises `Unusable` with the reason."""
    head = _head(path)
    try:
        # "file:" keeps FFmpeg from reading a protocol or a pattern into the name.
        container = av.open(
            f"file:{path}",
            options={"max_pixels": str(_MAX_PIXELS)},
            container_options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except av.error.FFmpegError as error:
        spare_memory(error)
        if head.startswith(_MAGIC) or head[4:8] in _ATOMS:
            detail = f"the container cannot be read, its index is missing or broken ({error.strerror})"
            raise Unusable("damaged", detail) from None
        raise Unusable("not-video", f"{path.name} is in no known video format") from None
    with container:
        yield container


def spare_memory(error: av.error.FFmpegError) -> None:
    """Tell a machine short of memory from a damaged size field: both make FFmpeg say ENOMEM. Raises for the first."""
    if isinstance(error, MemoryError):
        bytearray(64 << 20)  # raises MemoryError itself where there is none; not touched, so it costs nothing


def _head(path: Path) -> bytes:
    """The first bytes of a file, after asking all that can be asked without a decoder."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Unusable("not-video", f"{path} is not a file")
        with path.open("rb") as file:
            head = file.read(16)
    except (FileNotFoundError, NotADirectoryError):
        raise Unusable("missing-file", f"{path} does not exist") from None
    except PermissionError:
        raise Unusable("unreadable", f"{path} may not be read") from None
    except OSError as error:  # a link to itself, a disk that fails, a file server that is away
        raise Unusable("unreadable", f"{path}: {error.strerror}") from None
    if not head:
        raise Unusable("empty-file", f"{path} has 0 bytes")
    return head


def picture_stream(container: av.container.InputContainer) -> av.video.stream.VideoStream | None:
    """The moving picture of a container, if it has one: the first video stream that is not a cover image."""
    still = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    for stream in container.streams.video:
        if not stream.disposition & still:
            return stream
    return None
