"""From shards to what a network reads: prepared corpora, decoded clips, epoch plans, augmentation and batches."""

from .augment import AugmentSettings, augmented, masked, tested
from .dataset import dataset
from .examples import Example, Place, check_text, decode, examples, members_of, places, read_members
from .inputs import Clip, collate, levelled, margin, shown
from .labels import (
    TRAIN,
    Chosen,
    DataSettings,
    HideSettings,
    Kind,
    Label,
    LabelHeader,
    StreamSettings,
    TrainingClip,
    choose,
    read_labels,
    write_labels,
)
from .loader import Loader, Planner, Position, Show, Stream
from .plan import BatchSettings, PlannedBatch, left_out, plan_epoch, plan_split
from .prepared import ROOT, Prepared, find_data
from .sources import without_secrets
from .waiting import waited

__all__ = [
    "ROOT",
    "TRAIN",
    "AugmentSettings",
    "BatchSettings",
    "Chosen",
    "Clip",
    "DataSettings",
    "Example",
    "HideSettings",
    "Kind",
    "Label",
    "LabelHeader",
    "Loader",
    "Place",
    "PlannedBatch",
    "Planner",
    "Position",
    "Prepared",
    "Show",
    "Stream",
    "StreamSettings",
    "TrainingClip",
    "augmented",
    "check_text",
    "choose",
    "collate",
    "dataset",
    "decode",
    "examples",
    "find_data",
    "left_out",
    "levelled",
    "margin",
    "masked",
    "members_of",
    "places",
    "plan_epoch",
    "plan_split",
    "read_labels",
    "read_members",
    "shown",
    "tested",
    "waited",
    "without_secrets",
    "write_labels",
]
