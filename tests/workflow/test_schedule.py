"""What may run now, and how long it takes: laws of any graph of stages, and one board by hand."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.workflow import Stage
from avsr_bench.workflow.schedule import expected, ready


@st.composite
def graphs(draw):
    """Stages that come after some before them, and how many run at once."""
    jobs = draw(st.integers(1, 4))
    stages = []
    for number in range(draw(st.integers(1, 12))):
        after = draw(st.sets(st.integers(0, max(number - 1, 0)), max_size=min(number, 3))) if number else set()
        share, seconds = draw(st.integers(1, jobs)), draw(st.integers(0, 100))
        stages.append(Stage(str(number), after=tuple(map(str, after)), share=share, seconds=float(seconds)))
    return stages, jobs


@given(graphs(), st.randoms())
def test_every_stage_runs_once_after_what_it_needs_and_never_too_many(graph, chance):
    stages, jobs = graph
    by_name = {stage.name: stage for stage in stages}
    over, running, started = set(), set(), []
    while len(over) < len(stages):
        for stage in ready(stages, over, running, jobs):
            assert set(stage.after) <= over
            running.add(stage.name)
            started.append(stage.name)
        assert running and sum(by_name[name].share for name in running) <= jobs
        done = chance.choice(sorted(running))
        running.remove(done)
        over.add(done)
    assert sorted(started) == sorted(by_name)


@given(graphs())
def test_it_takes_no_longer_than_one_after_the_other_and_no_less_than_the_work(graph):
    stages, jobs = graph
    work = sum(stage.seconds * stage.share for stage in stages) / jobs
    longest = max(stage.seconds for stage in stages)
    assert max(work, longest) - 1e-6 <= expected(stages, jobs) <= sum(stage.seconds for stage in stages) + 1e-6


def test_a_board_by_hand():
    stages = [
        Stage("corpus", seconds=10),
        Stage("train a", after=("corpus",), seconds=100),
        Stage("read a", after=("train a",), seconds=5),
        Stage("train b", after=("corpus",), seconds=60),
        Stage("train c", after=("train a",), seconds=40),
        Stage("noise", after=("read a",), seconds=20, share=2),
    ]
    assert [stage.name for stage in ready(stages, {"corpus"}, set(), 2)] == ["train a", "train b"]
    # The reading goes before the training behind it; what takes all waits, and is not overtaken for ever.
    assert [stage.name for stage in ready(stages, {"corpus", "train a"}, {"train b"}, 2)] == ["read a"]
    assert [stage.name for stage in ready(stages, {"corpus", "train a", "read a"}, {"train c"}, 2)] == ["train b"]
    assert expected(stages, 2) == 10 + 100 + 40 + 20
    assert expected([replace(stage, share=1) for stage in stages], 1) == 235
    assert expected([*stages, Stage("unknown")], 2) is None
