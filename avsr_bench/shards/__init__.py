"""Shards: prepared clips in tars that plain WebDataset reads, planned before the work, whole or not there.

`plan` says what goes where, `store` what the folder was made from; `write` makes one shard,
`read`, `index` and `tracks` take it apart, `finish` counts, `validate` reads it all back. The format: docs/shards.md.
"""

from .about import About, Source, parse_about
from .finish import SplitSummary, Summary, finish, summarise
from .index import Entry, Member, parse_index, read_index
from .plan import (
    Plan,
    PlannedShard,
    ShardSettings,
    SplitPlan,
    file_sizes,
    in_part,
    make_plan,
    parse_part,
    shard_name,
    take_part,
)
from .read import check_bytes, iterate, read_about, read_member, shard_indexes, unfinished_indexes
from .store import clear_store, is_whole, missing_shards, open_store, parse_prep, read_prep
from .tracks import read_tracks
from .validate import Problem, Report, check_shard, join_reports, planned_shards, validate
from .write import ShardWriter

__all__ = [
    "About",
    "Entry",
    "Member",
    "Plan",
    "PlannedShard",
    "Problem",
    "Report",
    "ShardSettings",
    "ShardWriter",
    "Source",
    "SplitPlan",
    "SplitSummary",
    "Summary",
    "check_bytes",
    "check_shard",
    "clear_store",
    "file_sizes",
    "finish",
    "in_part",
    "is_whole",
    "iterate",
    "join_reports",
    "make_plan",
    "missing_shards",
    "open_store",
    "parse_about",
    "parse_index",
    "parse_part",
    "parse_prep",
    "planned_shards",
    "read_about",
    "read_index",
    "read_member",
    "read_prep",
    "read_tracks",
    "shard_indexes",
    "shard_name",
    "summarise",
    "take_part",
    "unfinished_indexes",
    "validate",
]
