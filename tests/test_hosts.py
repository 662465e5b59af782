"""Two hosts of network namespaces: they reach one another until one is unplugged. Takes root and `ip netns`."""

import subprocess
import sys

import pytest

from benchmarks.hosts import two_hosts, why_not

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not() or "hosts can be made here")]

SERVE = "import socket; s = socket.create_server(('', 7000)); print('ready', flush=True); s.accept(); s.accept()"
CALL = """
import socket, sys
socket.create_connection((sys.argv[1], 7000), timeout=float(sys.argv[2]))
print(socket.gethostname())
"""


def test_unplugged_they_do_not_reach_one_another_and_nothing_is_left(tmp_path):
    with two_hosts() as (one, two):
        server = one.start([sys.executable, "-c", SERVE], tmp_path, tmp_path / "server")
        while "ready" not in (tmp_path / "server").read_text():
            assert server.poll() is None

        def call(patience=30):
            words = [sys.executable, "-c", CALL, one.name, str(patience)]
            return two.start(words, tmp_path, tmp_path / "said").wait(60)

        assert call() == 0 and (tmp_path / "said").read_text().split() == [two.name]
        one.unplug()
        assert call(patience=2) == 1 and "timed out" in (tmp_path / "said").read_text()
        one.plug_in()
        assert call() == 0
        left = two.start(["sleep", "600"], tmp_path, tmp_path / "sleep")
    assert left.wait(10) < 0 and server.wait(10) is not None
    listed = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert one.name not in listed and two.name not in listed
