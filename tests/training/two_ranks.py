"""One of two processes that train together: `torchrun --nproc-per-node 2 two_ranks.py SYSTEM DATA OUT JSON`.

With a number behind these, rank 1 alone is asked to stop after so many updates. Each rank writes down what it chose.
"""

import json
import os
import signal
import sys
from pathlib import Path

from avsr_bench.records import SILENCE
from avsr_bench.training import cycles, signals
from avsr_bench.training.job import train
from avsr_bench.training.plan import TrainRequest


def main(system: str, data: str, out: Path, settings: list[str], stop: int) -> None:
    """Train, and keep what each pass had."""
    rank = os.environ["RANK"]
    begin, add = cycles.Cycles.begin, cycles.Cycles.add

    def watched(self, epoch):
        chosen = begin(self, epoch)
        with Path(f"{out}.{rank}.jsonl").open("a") as file:
            file.write(json.dumps([epoch, self.done, chosen.weights.tolist(), self.scores.tolist()]) + "\n")
        return chosen

    def counted(self, batches, losses):
        add(self, batches, losses)
        if self.done == stop and rank == "1":
            os.kill(os.getpid(), signal.SIGTERM)

    cycles.Cycles.begin, cycles.Cycles.add = watched, counted
    try:
        train(TrainRequest(system, data, "tiny", None, 0, out, True, tuple(settings)), SILENCE)
    except signals.Stopped:
        assert stop


if __name__ == "__main__":
    main(*sys.argv[1:3], Path(sys.argv[3]), json.loads(sys.argv[4]), int((*sys.argv[5:], "0")[0]))
