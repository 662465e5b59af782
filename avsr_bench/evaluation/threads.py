"""Work that is shared out to threads, each of which computes on one core, with the answers in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import cv2
import torch

AHEAD = 2  # pieces of work a thread that wait to be done

Piece = TypeVar("Piece")
Done = TypeVar("Done")


def in_threads(work: Callable[[Piece], Done], pieces: Iterable[Piece], workers: int) -> Iterator[tuple[Piece, Done]]:
    """Every piece with what came of it, in order; a few of them are worked on at a time."""
    threads, of_opencv = torch.get_num_threads(), cv2.getNumThreads()
    cv2.setNumThreads(1)
    pool = ThreadPoolExecutor(workers, "read", torch.set_num_threads, (1,))
    waiting: deque[tuple[Piece, Future[Done]]] = deque()
    try:
        for piece in pieces:
            waiting.append((piece, pool.submit(work, piece)))
            if len(waiting) > AHEAD * workers:
                finished, future = waiting.popleft()
                yield finished, future.result()
        for finished, future in waiting:
            yield finished, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)
        cv2.setNumThreads(of_opencv)
