"""From shards to what a network reads: prepared corpora, decoded clips, epoch plans, augmentation and batches."""

from .augment import AugmentSettings, augmented, masked, tested
from .dataset import dataset
from .examples import Example, Place, check_text, decode, examples, members_of, places, read_members
from .inputs import Clip, collate, levelled, margin, shown
from .labels import (
    Chosen,
    DataSettings,
    HideSettings,
    Kind,
    StreamSettings,
    TrainingClip,
    choose,
)
from .loader import Loader, Show, Stream
from .overlay import (
    FOLDER,
    FORMAT,
    TRAIN,
    Label,
    LabelHeader,
    Overlay,
    checked_name,
    parse_label,
    read_labels,
    write_labels,
)
from .plan import BatchSettings, Pass, PlannedBatch, Planner, Position, left_out, plan_epoch, plan_split
from .prepared import ROOT, Prepared, find_data
from .remote import LARGEST
from .selection import (
    BEFORE,
    UNPRUNED,
    SelectionSettings,
    check_selection,
    frames_shown,
    needed_frames,
    select,
    some_frames,
)
from .sources import without_secrets
from .waiting import waited

__all__ = [
    "BEFORE",
    "FOLDER",
    "FORMAT",
    "LARGEST",
    "ROOT",
    "TRAIN",
    "UNPRUNED",
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
    "Overlay",
    "Pass",
    "Place",
    "PlannedBatch",
    "Planner",
    "Position",
    "Prepared",
    "SelectionSettings",
    "Show",
    "Stream",
    "StreamSettings",
    "TrainingClip",
    "augmented",
    "check_selection",
    "check_text",
    "checked_name",
    "choose",
    "collate",
    "dataset",
    "decode",
    "examples",
    "find_data",
    "frames_shown",
    "left_out",
    "levelled",
    "margin",
    "masked",
    "members_of",
    "needed_frames",
    "parse_label",
    "places",
    "plan_epoch",
    "plan_split",
    "read_labels",
    "read_members",
    "select",
    "shown",
    "some_frames",
    "tested",
    "waited",
    "without_secrets",
    "write_labels",
]
