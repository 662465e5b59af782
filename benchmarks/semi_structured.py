"""What 2:4 patterns are worth on a GPU: the feed-forward layers of BASE-L with torch's semi-structured kernels.

    make gpu STAGE=sparse

Of four neighbouring weights the two larger ones are kept. Prints Markdown. Needs a GPU of compute capability 8 or more.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.sparse import SparseSemiStructuredTensor, to_sparse_semi_structured

SHAPES = {"expand, 768 to 3,072": (3072, 768), "reduce, 3,072 to 768": (768, 3072)}  # as torch keeps them: out, in
FRAMES = (75, 1600, 12_800)  # a clip, the published batch of one GPU, eight of them
TURNS, REPEATS = 7, 100
KINDS = (torch.bfloat16, torch.float16)


def main() -> None:
    """Measure and print."""
    if not torch.cuda.is_available():
        sys.exit("no GPU: torch's semi-structured kernels run on CUDA alone")
    if torch.cuda.get_device_capability() < (8, 0):
        sys.exit(f"{torch.cuda.get_device_name()} has no sparse tensor cores: compute capability 8 or more is needed")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n")
    print("| layer | type | frames | dense, µs | 2:4, µs | dense / 2:4 | stored bytes | largest difference |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for cutlass in (False, True):
        SparseSemiStructuredTensor._FORCE_CUTLASS = cutlass
        for name, shape in SHAPES.items():
            for kind in KINDS:
                for frames in FRAMES:
                    row = _row(shape, kind, frames)
                    kernels = "CUTLASS" if cutlass else "cuSPARSELt"
                    print(
                        f"| {name}, {kernels} | {str(kind).removeprefix('torch.')} | {frames:,} | {row} |", flush=True
                    )


def halved(weight: Tensor) -> Tensor:
    """The same weight with the two smaller ones of every four neighbours set to zero."""
    groups = weight.unflatten(-1, (-1, 4))
    keep = torch.zeros_like(groups, dtype=torch.bool).scatter(-1, groups.abs().topk(2).indices, True)
    return (groups * keep).flatten(-2)


@torch.inference_mode()
def _row(shape: tuple[int, int], kind: torch.dtype, frames: int) -> str:
    generator = torch.Generator("cuda").manual_seed(0)
    weight = halved(torch.randn(shape, generator=generator, device="cuda", dtype=kind) / shape[1] ** 0.5)
    bias = torch.randn(shape[0], generator=generator, device="cuda", dtype=kind)
    x = torch.randn(frames, shape[1], generator=generator, device="cuda", dtype=kind)
    try:
        sparse = to_sparse_semi_structured(weight)
        difference = float((F.linear(x, sparse, bias) - F.linear(x, weight, bias)).abs().max())
        dense_time, sparse_time = _times(lambda: F.linear(x, weight, bias), lambda: F.linear(x, sparse, bias))
    except (RuntimeError, NotImplementedError) as error:  # kernels this build of torch has not, or not for this shape
        return f" failed: {' '.join(str(error).split())[:90]} | | | | "
    stored = [part for part in (sparse.packed, sparse.meta) if part is not None]
    share = sum(part.nbytes for part in stored) / weight.nbytes
    return (
        f"{dense_time * 1e3:.1f} | {sparse_time * 1e3:.1f} | {dense_time / sparse_time:.2f}x | {share:.2f} |"
        f" {difference:.2g}"
    )


def _times(*works: Callable[[], Tensor]) -> tuple[float, ...]:
    """Milliseconds of each piece of work, in turns; medians."""
    taken: list[list[float]] = [[] for _ in works]
    for turn in range(TURNS + 1):
        for work, times in zip(works, taken, strict=True):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(REPEATS):
                work()
            end.record()
            torch.cuda.synchronize()
            if turn:  # the first one warms up
                times.append(start.elapsed_time(end) / REPEATS)
    return tuple(median(times) for times in taken)


if __name__ == "__main__":
    main()
