from avsr_bench.workflow import BoardRequest
from avsr_bench.workflow.run import PAUSE, _Pages


class View:
    """Keeps what it is shown."""

    def __init__(self):
        self.ended = []

    def start(self, stage):
        pass

    def end(self, outcome):
        self.ended.append(outcome)


def test_pages_are_made_at_once_then_seldom_and_at_the_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    view = View()
    pages = _Pages(BoardRequest(corpus="mouths"), view)
    pages.make()
    assert not view.ended  # nothing new was read
    pages.stale = True
    pages.make()
    assert len(view.ended) == 1 and pages.due > PAUSE * view.ended[0].seconds > 0
    pages.stale = True
    pages.make()
    assert len(view.ended) == 1
    pages.make(last=True)
    assert len(view.ended) == 2 and view.ended[1].seconds > view.ended[0].seconds  # of all times together
    pages.make(last=True)
    assert len(view.ended) == 2
    pages.stale, pages.due = True, 0.0
    pages.make()
    assert len(view.ended) == 3
