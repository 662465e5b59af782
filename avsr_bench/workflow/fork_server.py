"""The process that commands are forked from, `python -m avsr_bench.workflow.fork_server SOCKET MODULES`.

It imports the modules and runs nothing, so a fork begins as a process of its own does once it has imported them. It
ends when its standard input does and the last command is over.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import torch

from .fork_client import STREAMS

Request = dict[str, Any]  # words, folder, environment


class Server:
    """Forks a process for each client and tells the client how that ended."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.commands: dict[int, socket.socket] = {}  # by process, the client
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(place))
        self.listening.listen()
        self.ended, self.ends = socket.socketpair()  # gets a byte for every SIGCHLD
        self.ends.setblocking(False)
        self.ready = selectors.DefaultSelector()
        for each in (sys.stdin, self.listening, self.ended):
            self.ready.register(each, selectors.EVENT_READ)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self.ends.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # those who run end by them, and whoever asked for them waits for it

    def serve(self) -> Request | None:
        """What was asked for, in the fork that is to run it; none in the server, when its time is over."""
        listening = True
        while listening or self.commands:
            for key, _ in self.ready.select():
                if key.fileobj is self.listening:
                    if (request := self._begin()) is not None:
                        return request
                elif key.fileobj is self.ended:
                    self.ended.recv(4096)
                    self._over()
                elif key.fileobj is sys.stdin:
                    listening = False
                    self.ready.unregister(sys.stdin)
                elif key.data is not None:
                    self._signal(key.data)
        shutil.rmtree(self.place.parent)
        return None

    def _begin(self) -> Request | None:
        """Fork; the request in the child."""
        client, _ = self.listening.accept()
        _, [(_, _, handed)], *_ = client.recvmsg(1, socket.CMSG_SPACE(array.array("i").itemsize * STREAMS))
        streams = array.array("i", handed)
        with client.makefile("rb", buffering=0) as said:
            request = json.loads(said.readline())
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for key in self.ready.get_map().values():
                os.close(key.fd)
            client.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
        for stream in streams:
            os.close(stream)
        if pid == 0:
            return request
        self.commands[pid] = client
        self.ready.register(client, selectors.EVENT_READ, client)
        return None

    def _over(self) -> None:
        """Tell the clients of all commands that have ended."""
        while self.commands:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            client = self.commands.pop(pid)
            self.ready.unregister(client)
            with client, contextlib.suppress(OSError):  # the client was killed
                client.send(f"{os.waitstatus_to_exitcode(status)}\n".encode())

    def _signal(self, client: socket.socket) -> None:
        """Pass a signal on; a client that was killed takes its command along."""
        said = client.recv(1)
        for pid, its in self.commands.items():
            if its is client:
                os.kill(pid, said[0] if said else signal.SIGKILL)


def forkable() -> bool:
    """Whether a process like this one may be forked: threads would be missing there, and CUDA once it was asked for."""
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        return False
    pid = os.fork()
    if pid == 0:
        os._exit(torch.cuda._is_in_bad_fork())
    return os.waitpid(pid, 0)[1] == 0


def run(words: list[str], folder: str, environment: dict[str, str]) -> None:
    """What `python -m avsr_bench` does."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    if "OMP_NUM_THREADS" in environment:  # read by torch long ago
        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    sys.stdin = os.fdopen(0, encoding="utf-8")
    sys.stdout = os.fdopen(1, "w", buffering=1 if os.isatty(1) else -1, encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    sys.argv = ["avsr-bench", *words]
    code = 1
    try:
        runpy.run_module("avsr_bench", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001  whatever it is, as the interpreter says it
        traceback.print_exc()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    place, *modules = sys.argv[1:]
    for module in modules:
        importlib.import_module(module)
    if not forkable():
        sys.exit(1)
    try:
        server = Server(Path(place))
    except OSError:  # a path longer than the 108 bytes of an address
        sys.exit(1)
    print("ready", flush=True)
    if (asked := server.serve()) is not None:
        run(**asked)
