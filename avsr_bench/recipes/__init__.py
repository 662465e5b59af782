"""Recipes: the YAML files in `pipelines/`, `models/` and `leaderboards/`, and how they become typed settings.

This room knows YAML, which file shadows which, and `key=value`; it knows nothing of what a recipe says. The types of
settings stand beside the parts that use them, each with its range.
"""

from .files import find, headline, load, names, nearest, paper, section, shipped
from .plain import dump, parse
from .settings import build, checked, describe, override

__all__ = [
    "build",
    "checked",
    "describe",
    "dump",
    "find",
    "headline",
    "load",
    "names",
    "nearest",
    "override",
    "paper",
    "parse",
    "section",
    "shipped",
]
