"""The small video that holds a mouth: H.264 in MP4, one frame for every crop, the same bytes for the same crops."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import chain
from typing import Any

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.video.stream import VideoStream

from ..records import FPS, Unusable
from .container import picture_stream
from .decode import single_threaded
from .frames import to_picture
from .picture import Upright

# On 96x96 GRID mouths against plain veryfast (0.16 ms a frame to encode, 0.087 to read back, 872 B, 49.6 dB): no small
# partitions, no CABAC and a fixed pattern of B-frames give 0.09 ms, 0.042 ms, 799 B and 48.8 dB. One thread and no
# mbtree make the bytes repeatable. A key frame every 2 s.
_LOSSY = {
    "preset": "veryfast",
    "crf": "10",
    "g": str(2 * FPS),
    "x264-params": "mbtree=0:b-adapt=0:scenecut=0:partitions=none:me=dia:cabac=0",
}
_LOSSLESS = {"preset": "ultrafast", "qp": "0", "g": str(2 * FPS), "x264-params": "mbtree=0"}
_MOST_PIXELS = 1 << 20  # of a mouth; crop.size is at most 512
_LEAST_BYTES = 4  # of a frame in the file: each begins with its length
_FULL_RANGE, _BT601 = 2, 6  # AVCOL_RANGE_JPEG, AVCOL_SPC_SMPTE170M


def encode_mouth(crops: Iterable[np.ndarray], lossless: bool = False) -> bytes:
    """An MP4 with every crop as one frame at 25 a second; crops are uint8 H, W (grey) or H, W, 3 (RGB), all alike.

    Grey is monochrome H.264 in full range, so that its levels are those of the crops in any reader. Colour is 4:4:4,
    which keeps lips sharp; without loss it is RGB H.264, which comes back bit by bit.
    """
    crops = iter(crops)
    first = next(crops, None)
    if first is None:
        raise ValueError("no crops to encode")
    codec, pixels = "libx264", "gray"
    if first.ndim == 3:
        codec, pixels = ("libx264rgb", "rgb24") if lossless else ("libx264", "yuv444p")
    height, width = first.shape[:2]
    memory = io.BytesIO()
    given = written = 0
    with av.open(memory, "w", format="mp4", container_options={"fflags": "+bitexact"}) as container:
        options = dict(_LOSSLESS if lossless else _LOSSY)
        stream = container.add_stream(codec, rate=FPS, options=options, width=width, height=height, pix_fmt=pixels)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.thread_count = 1
        context.flags |= Flags.bitexact
        context.color_range = _FULL_RANGE
        if pixels == "yuv444p":
            context.colorspace = _BT601
        for crop in chain([first], crops):
            if crop.shape != first.shape or crop.dtype != np.uint8:
                raise ValueError(f"crop {given} is {crop.dtype}{crop.shape}, the first is {first.dtype}{first.shape}")
            if pixels == "yuv444p":
                planes: Any = cv2.cvtColor(crop, cv2.COLOR_RGB2YCrCb)[:, :, [0, 2, 1]]  # BT.601 in full range
                frame = av.VideoFrame.from_ndarray(planes, pixels, channel_last=True)
            else:
                frame = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(crop), pixels)
            frame.pts = given
            given += 1
            packets = stream.encode(frame)
            written += len(packets)
            container.mux(packets)
        packets = stream.encode(None)
        container.mux(packets)
    if written + len(packets) != given:
        raise RuntimeError(f"{given} frames went into the encoder and {written + len(packets)} came out")
    return memory.getvalue()


def decode_mouth(data: bytes) -> np.ndarray:
    """The crops of `encode_mouth`: uint8 T, H, W or T, H, W, 3. Broken data raises `Unusable`."""
    options = {"max_pixels": str(_MOST_PIXELS)}
    try:
        with av.open(io.BytesIO(data), "r", format="mp4", options=options, metadata_errors="replace") as container:
            stream = picture_stream(container)
            if stream is None or stream.codec_context is None:
                raise Unusable("no-video-stream", "a mouth video without a picture")
            single_threaded(stream)
            upright = Upright(stream.width, stream.height)
            grey = stream.pix_fmt not in ("yuv444p", "yuvj444p", "gbrp")  # monochrome H.264 announces itself as 4:2:0
            frames = stream.frames
            if frames * _LEAST_BYTES > len(data):  # else a header that lies takes all memory
                raise Unusable("damaged", f"a mouth video of {len(data)} bytes announces {frames} frames")
            crops = np.empty((frames, stream.height, stream.width, *(() if grey else (3,))), np.uint8)
            count = 0
            for frame in container.decode(stream):
                if (frame.width, frame.height) != (upright.width, upright.height):
                    raise Unusable("damaged", "the pictures of a mouth video change their size")
                picture = to_picture(frame, upright, "h264")
                crops[count] = picture.grey() if grey else picture.rgb()
                count += 1
    except (av.error.FFmpegError, IndexError) as error:
        raise Unusable("damaged", f"a mouth video of {len(data)} bytes: {error}") from None
    if count != len(crops):
        raise Unusable("damaged", f"{count} of {len(crops)} frames could be read")
    return crops
