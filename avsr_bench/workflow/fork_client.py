"""The process that stands for a fork, `python -I -S fork_client.py SOCKET WORDS`: it imports next to nothing."""

import array
import contextlib
import json
import os
import signal
import socket
import sys

STREAMS = 3
FORWARDED = (signal.SIGINT, signal.SIGTERM)


def main(place: str, *words: str) -> None:
    """Have a command run by `fork_server`, and end as it ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)  # until there is somebody to pass them on to
    folder = os.getcwd()  # noqa: PTH109  pathlib takes as long to import as all of the others together
    request = {"words": words, "folder": folder, "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as server:

        def forward(number: int, frame: object) -> None:
            with contextlib.suppress(OSError):  # it is over
                server.send(bytes([number]))

        answer = ""
        with contextlib.suppress(OSError):  # the server was killed
            server.connect(place)
            server.sendmsg([b"+"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", range(STREAMS)))])
            server.sendall(json.dumps(request).encode() + b"\n")
            for number in FORWARDED:
                signal.signal(number, forward)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
            answer = server.makefile().readline()
    if not answer:
        os.write(2, b"avsr-bench: the process that commands are forked from was ended: start the same command again\n")
    code = int(answer or 1)
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
