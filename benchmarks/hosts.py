"""Two hosts on one machine: network namespaces with an address and a host name each, and a cable between them.

They share the kernel, the processors and every folder, as two machines share those of a file server. It takes root and
`ip netns` (Debian: iproute2); processes, namespaces and files under /etc/netns are gone when the block is left.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ADDRESSES = ("10.77.0.1", "10.77.0.2")
CABLE = "cable"  # the interface that each of them has beside lo


@dataclass(frozen=True)
class Host:
    """One of the two."""

    name: str
    address: str

    def start(self, words: list[str], cwd: Path, log: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen:
        """Start a command on it; what it says goes to the end of `log`."""
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.name, *words]
        with log.open("ab") as file:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *named],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        # Until `ip` has moved it there, nothing that ends the host's processes finds it.
        while process.poll() is None and not self._runs(process.pid):
            time.sleep(0.005)
        return process

    def _runs(self, pid: int) -> bool:
        with suppress(FileNotFoundError):  # it has ended
            return Path(f"/proc/{pid}/ns/net").samefile(f"/run/netns/{self.name}")
        return False

    def unplug(self) -> None:
        """Nothing comes through from now on, and nobody is told."""
        _ip("-n", self.name, "link", "set", CABLE, "down")

    def plug_in(self) -> None:
        """Connect it again."""
        _ip("-n", self.name, "link", "set", CABLE, "up")

    def kill(self) -> None:
        """End every process on it with SIGKILL; with the cable in, the kernel still closes their connections."""
        for _ in range(100):
            pids = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=True)
            if not pids.stdout.split():
                return
            for pid in pids.stdout.split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.1)
        raise RuntimeError(f"processes on {self.name} do not end: {pids.stdout}")

    def lose_power(self) -> None:
        """Everything on it ends, and its peers hear nothing of it, not even that their connections are closed."""
        self.unplug()
        self.kill()


def why_not() -> str:
    """Why hosts cannot be made here, or nothing."""
    if os.geteuid() != 0:
        return "network namespaces take root"
    if not shutil.which("ip") or not shutil.which("unshare"):
        return "there is no `ip` or no `unshare` (Debian: apt-get install iproute2 util-linux)"
    name = f"avsr-{os.getpid()}-try"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"`ip netns add` fails here: {' '.join(made.stderr.split())}"
    _ip("netns", "delete", name)
    return ""


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts that reach one another and nothing else."""
    one, two = (Host(f"avsr-{os.getpid()}-{number + 1}", address) for number, address in enumerate(ADDRESSES))
    with ExitStack() as undo:
        for host in (one, two):
            _ip("netns", "add", host.name)
            undo.callback(_remove, host)
            files = Path("/etc/netns", host.name)  # `ip netns exec` lays these over /etc
            files.mkdir(parents=True)
            names = [f"{other.address} {other.name}" for other in (one, two)]
            (files / "hosts").write_text("\n".join(["127.0.0.1 localhost", *names]) + "\n")
            _ip("-n", host.name, "link", "set", "lo", "up")
        _ip("-n", one.name, "link", "add", CABLE, "type", "veth", "peer", "name", CABLE, "netns", two.name)
        for host in (one, two):
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", CABLE)
            host.plug_in()
        yield one, two


def _remove(host: Host) -> None:
    host.kill()
    _ip("netns", "delete", host.name)
    shutil.rmtree(Path("/etc/netns", host.name), ignore_errors=True)
    with suppress(OSError):
        Path("/etc/netns").rmdir()  # where there was none before


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`ip {' '.join(words)}` fails: {done.stderr.strip()}")
