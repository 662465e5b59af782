"""Evaluation: networks read the clips of a split, clean or corrupted, and what they read is scored.

For a WER in the middle of training, clips decoded once before it (`data.examples`) and the network as it stands:

    heard = evaluation.read(network, tokenizer, some_examples, DecodeSettings(kind="ctc"))
    scoring.total(map(scoring.score, heard))["wer"].rate

`read` works in the calling thread, on the device that the network is on, and leaves it in the mode it was in.
`sweep` is the same for many conditions and networks: work is shared, and spread over threads. `evaluate` is the whole
command: one run, one condition, one result on disk. `evaluate_enhancer` is the command for an enhancer, whose output is
held against the clean sound and may be read by a recogniser.
"""

from .clips import Clips
from .conditions import CLEAN, Condition, corrupted, open_sound, visual
from .device import pick_device, ran_out_of_memory
from .engine import Heard, Task, sweep
from .enhancer_job import evaluate_enhancer
from .enhancer_sheet import write_sheet
from .enhancing import Cleaner, draw_lips, open_cleaner
from .job import Evaluated, EvaluateRequest, evaluate, opened
from .reading import (
    LONGEST,
    TOGETHER,
    Decoded,
    Reader,
    batches,
    decode_memory,
    open_reader,
    read,
    read_clips,
    score_batch,
    view_of,
)
from .results import NOBODY, Other, Provenance, lineage, make_result, result_name, stored_result, weights_digest
from .threads import in_threads

__all__ = [
    "CLEAN",
    "LONGEST",
    "NOBODY",
    "TOGETHER",
    "Cleaner",
    "Clips",
    "Condition",
    "Decoded",
    "EvaluateRequest",
    "Evaluated",
    "Heard",
    "Other",
    "Provenance",
    "Reader",
    "Task",
    "batches",
    "corrupted",
    "decode_memory",
    "draw_lips",
    "evaluate",
    "evaluate_enhancer",
    "in_threads",
    "lineage",
    "make_result",
    "open_cleaner",
    "open_reader",
    "open_sound",
    "opened",
    "pick_device",
    "ran_out_of_memory",
    "read",
    "read_clips",
    "result_name",
    "score_batch",
    "stored_result",
    "sweep",
    "view_of",
    "visual",
    "weights_digest",
    "write_sheet",
]
