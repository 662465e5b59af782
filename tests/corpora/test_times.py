"""Times from wherever they come: seconds within reason, or `bad-times`, before anything is computed of them."""

import math
import shutil

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from videos import numbered, write_video

from avsr_bench import corpora, shards
from avsr_bench.corpora import grid, lrs_text
from avsr_bench.media import Video
from avsr_bench.prepare_clip import ClipJob, ClipSettings, CropSettings, SampleSettings, make_sample
from avsr_bench.records import LONGEST, Clip, Unusable

WRONG = (
    "nan",
    "inf",
    "-inf",
    "1e308",
    "1e400",
    "1e15",
    "1000000.1",
    "1,5",
    "00:01:02",
    "0x10",
    "1_000",
    "9" * 5000,
    "٣",
    "²",
    "-1",
    "1 2",
    "1s",
    "--1",
    "true",
)
RIGHT = {"-0.0": 0.0, "0": 0.0, "+1.5": 1.5, ".5": 0.5, "3.": 3.0, "1e3": 1000.0, "1000000": 1e6, "007": 7.0}


def one(tree, start="", end=""):
    rows = f'a.mp4,hi,"{start}","{end}"\na.mp4,hi,0,1\n'
    corpus = corpora.read("folder", tree({"a.mp4": "", "manifest.csv": "path,text,start,end\n" + rows}))
    shards.make_plan(corpus.clips, shards.ShardSettings(), {}, tree({}), {})
    (clip,) = [clip for clip in corpus.clips if clip.end != 1]
    return clip


@pytest.mark.parametrize("cell", WRONG)
@pytest.mark.parametrize("column", ["start", "end"])
def test_what_is_no_time_is_bad_times(tree, column, cell):
    problem = one(tree, **{column: cell}).problem
    assert problem.code == "bad-times"
    assert f"line 2: {column} = {cell[:40]} is not a number of seconds" in problem.detail
    assert len(problem.detail) < 120


@pytest.mark.parametrize("cell", RIGHT)
def test_what_is_a_time_is_taken(tree, cell):
    clip = one(tree, start=cell)
    assert clip.problem is None
    assert (clip.start, math.copysign(1, clip.start)) == (RIGHT[cell], 1)


@settings(max_examples=60)
@given(st.text(max_size=12) | st.floats().map(repr) | st.integers().map(str))
@example("1e308")
@example("-0.0")
def test_any_cell_is_a_time_within_reason_or_bad_times(tmp_path_factory, cell):
    root = tmp_path_factory.mktemp("root")
    (root / "a.mp4").touch()
    cell = "".join(cell.split("\0")).encode("utf-8", "ignore").decode()
    quoted = cell.replace('"', '""')
    (root / "manifest.csv").write_bytes(f'path,start\na.mp4,"{quoted}"\na.mp4,1\n'.encode())
    clips = corpora.read("folder", root).clips
    assert len(clips) == 2
    for clip in clips:
        assert clip.problem or 0 <= clip.start <= LONGEST
        assert clip.problem is None or clip.problem.code in ("bad-times", "duplicate-key")
    shutil.rmtree(root)


@pytest.mark.parametrize("times", ["0.1 1e15", "1e308 1e308", "nan 1", "0.1 inf", "-1 1", "2 1"])
def test_times_of_words(times):
    with pytest.raises(Unusable, match="bad-times"):
        lrs_text.timed_words(f"Text: A\n\nWORD START END\nA {times}\n")


@pytest.mark.parametrize("times", [f"0 {10**15}", f"{'9' * 5000} {'9' * 5000}", "20 10", f"0 {25_000 * 10**6 + 1}"])
def test_times_of_an_align_file(tmp_path, times):
    path = tmp_path / "bbaf2n.align"
    path.write_text(f"0 10 sil\n{times} bin\n")
    with pytest.raises(Unusable, match=r"bad-times: bbaf2n\.align line 2"):
        grid.aligned(path)


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("short") / "a.mp4", [numbered(n) for n in range(25)])


@pytest.mark.parametrize(
    ("start", "end"), [(0.0, 1e15), (1e15, None), (1e15, 1e16), (1e308, 1.5e308), (0.0, math.inf), (math.nan, None)]
)
def test_a_clip_made_elsewhere_is_bad_times_too(short, start, end):
    clip = Clip("a", short, "train", "ann", start=start, end=end)
    outcome = make_sample(ClipJob(clip, "a.mp4"), SampleSettings())
    assert outcome.reason.code == "bad-times"
    with pytest.raises(Unusable, match="bad-times"):
        Video(short, start, end)


@pytest.mark.parametrize(("start", "end"), [(0.0, 900_000.0), (900_000.0, None), (900_000.0, 900_001.0), (2.0, 3.0)])
def test_times_behind_the_end_are_bad_times_and_cost_no_more_than_the_video(short, start, end):
    heard = []
    clip = Clip("a", short, "train", "ann", start=start, end=end)
    loose = SampleSettings(ClipSettings(min_frames=1, max_seconds=5), crop=CropSettings(already_cropped=True))
    outcome = make_sample(ClipJob(clip, "a.mp4"), loose, heard.append)
    assert outcome.reason.code == "bad-times"
    assert max(heard) <= 1.0  # seconds by which the time limit of the clip is set
