"""The Ray engine: the same work as `run_local`, on the nodes of a cluster that share the file system."""

from __future__ import annotations

import logging
import socket
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ..records import Reason, Refused
from .engine import AHEAD, Engine, Result, Task, Work, attempt

# Seconds without a result after which nodes are counted. Ray fails the tasks of a node whose processes die, and they
# are tried again; it keeps waiting for those of a node that cannot be reached, minutes after it called the node dead.
QUIET = 20


@contextmanager
def ray_cluster(address: str | None) -> Iterator[Engine]:
    """A Ray cluster as an engine: does tasks and yields their results in order. No address: this machine alone."""
    try:
        import ray
    except ImportError:
        raise Refused("--engine ray needs Ray: pip install 'avsr-bench[cluster]'") from None
    started_here = not ray.is_initialized()
    if started_here:
        _check_address(address)
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise Refused(
                f"no Ray cluster at {address or 'this machine'}: {' '.join(str(error).split())[:200]}; does it listen"
                " there, and is its token on this machine too (`ray get-auth-token`)?"
            ) from None
    try:
        yield partial(_run, ray)
    finally:
        if started_here:
            ray.shutdown()


def _check_address(address: str | None) -> None:
    """Refuse an address where nobody listens; Ray itself would go on trying for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or "/" in host or not port.isdecimal():  # none, auto, ray://...: Ray's own business
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise Refused(f"no Ray cluster at {address}: {error.strerror or error}") from None


def _run(ray: Any, work: Work[Task, Result], tasks: Iterable[Task]) -> Generator[Result | Reason, None, None]:
    # max_retries=0: a second try is ours to order, so that a clip that kills its worker costs two workers, not all.
    remote = ray.remote(num_cpus=1, max_retries=0)(attempt)
    shared = ray.put(work)
    ahead = AHEAD * max(int(ray.cluster_resources().get("CPU", 1)), 1)
    source = enumerate(tasks)
    upcoming = next(source, None)
    in_hand: dict[Any, tuple[int, Task, bool]] = {}  # a future's task, and whether it is the second try
    done: dict[int, Result | Reason] = {}
    following = 0
    members = _alive(ray)
    while upcoming or in_hand:
        while upcoming and upcoming[0] < following + ahead:
            index, task = upcoming
            in_hand[remote.remote(shared, task)] = (index, task, False)
            upcoming = next(source, None)
        finished, _ = ray.wait(list(in_hand), num_returns=1, timeout=QUIET)
        if not finished and (gone := members - _alive(ray)):
            raise Refused(
                f"{', '.join(sorted(gone))} left the Ray cluster with clips in hand: run the same command again, which"
                " continues with the nodes that are left"
            )
        for future in finished:
            index, task, second = in_hand.pop(future)
            try:
                done[index] = ray.get(future)
            except ray.exceptions.RayError as error:
                if second:
                    done[index] = _reason(ray, error)
                else:
                    in_hand[remote.remote(shared, task)] = (index, task, True)
        while following in done:
            yield done.pop(following)
            following += 1


def _alive(ray: Any) -> set[str]:
    return {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}


def _reason(ray: Any, error: Exception) -> Reason:
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return Reason("out-of-memory", "Ray ended the worker twice because its node ran out of memory")
    if isinstance(error, ray.exceptions.RayTaskError | ray.exceptions.RaySystemError):  # our code never ran
        last_line = str(error).strip().splitlines()[-1][:200]
        return Reason("failed", f"{last_line} (is this version of avsr-bench installed on every node?)")
    first_line = " ".join(str(error).split())[:160]
    return Reason("worker-died", f"the worker died twice, or ran into its time limit: {first_line}")
