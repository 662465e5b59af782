"""`validate` on all cores: how long a shard may take."""

from mouths import make_shards

from avsr_bench import shards
from avsr_bench.prep.validate import _check


def test_the_time_limit_of_a_shard_grows_with_its_length(tmp_path):
    make_shards(tmp_path, {"test": 8}, length=lambda number: 25 + number)
    first, second = shards.planned_shards(tmp_path)
    heard = []
    assert not _check(tmp_path, first, heard.append).problems
    assert heard == [sum(range(25, 31)) / 25]
    (tmp_path / "test/test-000001.jsonl").write_bytes(b"{")
    (problem,) = _check(tmp_path, second, heard.append).problems
    assert "index cannot be read" in problem.what and len(heard) == 1
