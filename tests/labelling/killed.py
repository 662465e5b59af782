"""Labels a corpus in children of a process that has everything imported, and no thread when it forks; kills them.

    python killed.py CORPUS RUN KILLS

Prints how many kills were survived, in how many rounds, and how many of them came when shards had been labelled.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from avsr_bench.labelling import LabelRequest, label
from avsr_bench.records import SILENCE


def main(corpus: str, run: str, kills: int) -> None:
    """Label once undisturbed; then begin, kill and begin again until it is whole, over and over."""
    torch.set_num_threads(1)
    request = LabelRequest(data=corpus, labeller=run, name="asr", device="cpu")
    labels = Path(corpus) / "labels"
    started = time.monotonic()
    assert code_of(begin(request)) == 0
    seconds, whole = time.monotonic() - started, files(labels)
    draw = random.Random(0)
    killed = rounds = halfway = 0
    while killed < kills:
        rounds += 1
        for path in sorted(labels.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        while True:
            child = begin(request)
            time.sleep(draw.uniform(0, seconds))
            os.kill(child, signal.SIGKILL)
            if code_of(child) == 0:
                break
            killed += 1
            halfway += any(labels.glob("asr.parts/*.jsonl"))
        assert code_of(begin(request)) == 0
        assert files(labels) == whole, f"after {killed} kills"
    print(killed, rounds, halfway)


def begin(request: LabelRequest) -> int:
    """A child that labels, and ends without a word."""
    child = os.fork()
    if child == 0:
        try:
            label(request, SILENCE)
            os._exit(0)
        finally:
            os._exit(1)
    return child


def code_of(child: int) -> int:
    """How a child ended."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def files(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
