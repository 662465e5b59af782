"""The whole board from one command: a corpus, trained systems, the sweep under noise, the pages.

`settings` is what leaderboards/board.yaml says, `entries` the runs that it comes to, `kept` which of them need not be
trained. `plan` makes stages of them, `schedule` says which may run now, `run` carries them out, each command a process
of its own (`commands`), forked from one that has imported what commands import (`forks`). What is done is not done
again.
"""

from .plan import BoardPlan, Stage, make_plan
from .request import BoardRequest
from .run import Announced, Made, Outcome, Stopped, View, make_board
from .settings import BoardSettings, load_settings

__all__ = [
    "Announced",
    "BoardPlan",
    "BoardRequest",
    "BoardSettings",
    "Made",
    "Outcome",
    "Stage",
    "Stopped",
    "View",
    "load_settings",
    "make_board",
    "make_plan",
]
