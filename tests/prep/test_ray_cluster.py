"""A real Ray cluster of two nodes, started here."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

TESTS = str(Path(__file__).parents[1])

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray", reason="the cluster extra is not installed")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", TESTS)  # where the workers find engine_work
        yield from _two_nodes(ray, Cluster)


def _two_nodes(ray, Cluster):
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    yield nodes.address
    ray.shutdown()
    nodes.shutdown()


def test_two_nodes_give_the_same_bytes(avsr, face_corpus, tmp_path, digest, cluster):
    small = ("--root", face_corpus, "shards.max_samples=2")
    avsr("prep", "folder", *small, "--out", "local")
    avsr("prep", "folder", *small, "--out", "ray", "--engine", "ray", "--address", cluster)
    assert digest(tmp_path / "local") == digest(tmp_path / "ray")


def test_a_worker_that_dies_costs_one_clip(cluster, tmp_path):
    code = f"""
import functools, sys
sys.path.insert(0, {TESTS!r})
import engine_work, ray
from pathlib import Path
from avsr_bench.prep.ray_engine import ray_cluster
ray.init({cluster!r}, log_to_driver=False)
tasks = ["t1", "segfault", "once", "hangs", "error", "t2"]
with ray_cluster(None) as run:
    for result in run(functools.partial(engine_work.work, Path({str(tmp_path)!r})), tasks):
        print("result", getattr(result, "code", result))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=PATIENCE)
    results = re.findall(r"^result (\S+)$", done.stdout, re.M)  # Ray's own words go to standard output too
    assert results == ["T1", "worker-died", "ONCE", "worker-died", "failed", "T2"], done.stderr


def test_no_cluster_at_an_address_is_one_line(avsr, face_corpus):
    refused = avsr("prep", "folder", "--root", face_corpus, "--engine", "ray", "--address", "127.0.0.1:1", expect=1)
    assert "no Ray cluster at 127.0.0.1:1" in refused.err.splitlines()[-1]
