"""Video and sound files in, frames at 25 a second and 16 kHz sound out; and the small files that hold a mouth."""

from .clock import constant_rate, frame_count, in_words
from .container import SOUND_SUFFIXES, VIDEO_SUFFIXES
from .mouth import decode_mouth, encode_mouth
from .picture import Picture, Upright
from .resound import Resounding, check_resound, resound
from .rewrite import Rewriting, check_rewrite, rewrite
from .sound import Sound, decode_flac, encode_flac, read_sound, sound_by_frames
from .video import Counted, Video, VideoInfo, counted, probe

__all__ = [
    "SOUND_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Counted",
    "Picture",
    "Resounding",
    "Rewriting",
    "Sound",
    "Upright",
    "Video",
    "VideoInfo",
    "check_resound",
    "check_rewrite",
    "constant_rate",
    "counted",
    "decode_flac",
    "decode_mouth",
    "encode_flac",
    "encode_mouth",
    "frame_count",
    "in_words",
    "probe",
    "read_sound",
    "resound",
    "rewrite",
    "sound_by_frames",
]
