"""Labelling: clips without a transcript get one from a recogniser, as an overlay beside the shards.

`label` is the whole command. A labeller is a run of ours (`of_run.py`), or a program whose model lies in its package
(`programs.py`): each says who it is, and turns clips into texts with a confidence.
"""

from .agreement import BANDS, Agreement, agreement
from .job import Labelled, LabelRequest, label
from .programs import PROGRAMS

__all__ = ["BANDS", "PROGRAMS", "Agreement", "LabelRequest", "Labelled", "agreement", "label"]
