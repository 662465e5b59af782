"""Faces: found, followed, and where their mouths are. Usable alone, from a notebook:

video = media.Video("talk.mp4")
track = faces.find_track(video, faces.FaceSettings())
mouths = [picture.warp(matrix, 96, "grey") for picture, matrix in zip(video, faces.crop_matrices(track.points))]
"""

from .crop import MOUTH, centre_matrix, check_in_picture, crop_matrices, fit_mouths
from .detector import Faces, load_detector
from .landmarks import Landmarks, find_landmarks, load_landmarks, track_from_landmarks
from .people import People, Person, Stretch, find_people, visible_mouths
from .surroundings import Surroundings
from .track import FaceSettings, choose, complete, find_track, link
from .watch import Sighting, watch

__all__ = [
    "MOUTH",
    "FaceSettings",
    "Faces",
    "Landmarks",
    "People",
    "Person",
    "Sighting",
    "Stretch",
    "Surroundings",
    "centre_matrix",
    "check_in_picture",
    "choose",
    "complete",
    "crop_matrices",
    "find_landmarks",
    "find_people",
    "find_track",
    "fit_mouths",
    "link",
    "load_detector",
    "load_landmarks",
    "track_from_landmarks",
    "visible_mouths",
    "watch",
]
