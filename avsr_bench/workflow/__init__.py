"""The whole board from one command: a corpus, trained systems, the sweep under noise, the pages.

`settings` is what leaderboards/board.yaml says, `plan` makes stages of it, `schedule` says which of them may run now,
`run` carries them out, each command a process of its own (`commands`). What is done is not done again.
"""

from .plan import BoardPlan, BoardRequest, Stage, make_plan
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
