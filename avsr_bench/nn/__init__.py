"""The recogniser: one network for lips, sound or both, from tiny to the published sizes, and the published weights."""

from .decoder import DecoderState
from .discriminators import Contest, Discriminators, DiscriminatorSettings, persuaded
from .drawn import Network, draw, make
from .enhancer import READS_NOTHING, Enhancer, EnhancerState
from .groups import Group
from .inputs import DEVIATION, MEAN, Batch
from .loss import BLANK, PADDING, Answers, Losses, joint_loss, weighted_mean
from .model import AVSR
from .packed import header_of, load_packed, save_packed
from .prunable import prunable
from .published_weights import Report, Weights, load, network_of, our_name, published_name, read
from .recogniser import Recogniser, framed
from .settings import (
    EnhancerSettings,
    FrontendSettings,
    LossSettings,
    LowRankSettings,
    Modality,
    NetworkSettings,
    Reads,
    VocoderSettings,
)
from .settings_from_weights import settings_of, tokens_of
from .size import check_size, parameters_of
from .unified import VIEWS, Unified, View
from .vocoder import VocoderHead

__all__ = [
    "AVSR",
    "BLANK",
    "DEVIATION",
    "MEAN",
    "PADDING",
    "READS_NOTHING",
    "VIEWS",
    "Answers",
    "Batch",
    "Contest",
    "DecoderState",
    "DiscriminatorSettings",
    "Discriminators",
    "Enhancer",
    "EnhancerSettings",
    "EnhancerState",
    "FrontendSettings",
    "Group",
    "LossSettings",
    "Losses",
    "LowRankSettings",
    "Modality",
    "Network",
    "NetworkSettings",
    "Reads",
    "Recogniser",
    "Report",
    "Unified",
    "View",
    "VocoderHead",
    "VocoderSettings",
    "Weights",
    "check_size",
    "draw",
    "framed",
    "header_of",
    "joint_loss",
    "load",
    "load_packed",
    "make",
    "network_of",
    "our_name",
    "parameters_of",
    "persuaded",
    "prunable",
    "published_name",
    "read",
    "save_packed",
    "settings_of",
    "tokens_of",
    "weighted_mean",
]
