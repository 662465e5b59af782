"""Video and sound files in, frames at 25 a second and 16 kHz sound out; and the small files that hold a mouth."""

from .clock import constant_rate, frame_count
from .picture import Picture, Upright
from .video import Video, VideoInfo, probe

__all__ = ["Picture", "Upright", "Video", "VideoInfo", "constant_rate", "frame_count", "probe"]
