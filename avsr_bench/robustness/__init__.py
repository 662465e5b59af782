"""Robustness: every model under every family and level of noise, and what that says about them."""

from .job import RobustnessRequest, Swept, parse_levels, robustness
from .models import default_models
from .summary import Row, Summary, summarise

__all__ = [
    "RobustnessRequest",
    "Row",
    "Summary",
    "Swept",
    "default_models",
    "parse_levels",
    "robustness",
    "summarise",
]
