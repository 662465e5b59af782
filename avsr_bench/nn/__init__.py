"""The recogniser: one network for lips, sound or both, from tiny to the published sizes, and the published weights."""

from .decoder import DecoderState
from .drawn import draw
from .groups import Group
from .loss import BLANK, PADDING, Answers, Losses, joint_loss, weighted_mean
from .model import AVSR, DEVIATION, MEAN, Batch
from .packed import header_of, load_packed, save_packed
from .prunable import prunable
from .published_weights import Report, Weights, load, network_of, our_name, published_name, read
from .settings import FrontendSettings, LossSettings, LowRankSettings, Modality, NetworkSettings
from .settings_from_weights import settings_of
from .size import check_size, parameters_of

__all__ = [
    "AVSR",
    "BLANK",
    "DEVIATION",
    "MEAN",
    "PADDING",
    "Answers",
    "Batch",
    "DecoderState",
    "FrontendSettings",
    "Group",
    "LossSettings",
    "Losses",
    "LowRankSettings",
    "Modality",
    "NetworkSettings",
    "Report",
    "Weights",
    "check_size",
    "draw",
    "header_of",
    "joint_loss",
    "load",
    "load_packed",
    "network_of",
    "our_name",
    "parameters_of",
    "prunable",
    "published_name",
    "read",
    "save_packed",
    "settings_of",
    "weighted_mean",
]
