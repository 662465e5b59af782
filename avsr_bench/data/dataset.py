"""A prepared split as a WebDataset pipeline, for code of others and for work in which any order will do.

Shard list, nodes, workers, shuffling and batches are WebDataset's. The reading is ours: WebDataset's reader takes a tar
at its word (docs/shards.md has what that does to a damaged one), and cannot skip the members that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ..nn import Modality
from ..shards import shard_name
from .examples import Place, examples, places
from .prepared import Prepared

if TYPE_CHECKING:
    import webdataset


def dataset(corpus: Prepared, split: str, modality: Modality) -> webdataset.DataPipeline:
    """Decoded clips, local or remote, each held against the index; to be composed with WebDataset's own stages.

    A sample is a dict of `__key__`, `__url__`, `text`, `speaker`, `frames`, and `mouth`, `sound` or both as
    `data.Example` has them. Nodes and the workers of a loader share the shards.
    """
    import webdataset

    by_shard: dict[str, list[Place]] = {}
    for place in places(corpus, split, modality):
        by_shard.setdefault(f"{corpus.location}/{split}/{shard_name(split, place.shard)}.tar", []).append(place)
    return webdataset.DataPipeline(
        webdataset.SimpleShardList(list(by_shard)),
        webdataset.split_by_node,
        webdataset.split_by_worker,
        partial(_samples, corpus, by_shard, modality),
    )


def _samples(
    corpus: Prepared, by_shard: Mapping[str, list[Place]], modality: Modality, source: Iterable[Mapping[str, str]]
) -> Iterator[dict[str, Any]]:
    """The stage that stands where WebDataset's own reader would."""
    for shard in source:
        for example in examples(corpus, by_shard[shard["url"]], modality):
            arrays = {"mouth": example.mouth, "sound": example.sound}
            yield {
                "__key__": example.key,
                "__url__": shard["url"],
                "text": example.text,
                "speaker": example.speaker,
                "frames": example.frames,
                **{name: array for name, array in arrays.items() if array is not None},
            }
