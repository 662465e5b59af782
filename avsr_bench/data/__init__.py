"""From shards to what a network reads: prepared corpora, decoded clips, epoch plans, augmentation and batches."""

from .augment import AugmentSettings, augmented, masked, tested
from .dataset import dataset
from .examples import Example, Place, decode, examples, members_of, places, read_members
from .inputs import Clip, collate, levelled, margin, shown
from .loader import Loader, Planner, Position, Stream
from .plan import BatchSettings, PlannedBatch, left_out, plan_epoch, plan_split
from .prepared import ROOT, Prepared, find_data
from .sources import without_secrets
from .waiting import waited

__all__ = [
    "ROOT",
    "AugmentSettings",
    "BatchSettings",
    "Clip",
    "Example",
    "Loader",
    "Place",
    "PlannedBatch",
    "Planner",
    "Position",
    "Prepared",
    "Stream",
    "augmented",
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
    "read_members",
    "shown",
    "tested",
    "waited",
    "without_secrets",
]
