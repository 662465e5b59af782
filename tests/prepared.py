"""What prep leaves behind, read back: for tests of prep."""

import json
from urllib.parse import unquote

from avsr_bench import shards

SMALL = ("shards.max_samples=2", "corpus.valid_share=0.2", "corpus.test_share=0.2", "--workers", "2")


def skipped(out):
    return {unquote(line["key"]): line for line in map(json.loads, (out / "skipped.jsonl").read_text().splitlines())}


def samples(out):
    found = {}
    for split in shards.read_prep(out)["splits"]:
        for entry, members in shards.iterate(out, split):
            found[unquote(entry.key)] = members
    return found
