"""How long a test waits for what must come: no measure of speed, only the end of waiting for a program that hangs."""

PATIENCE = 900  # seconds; a machine with ten times more work than cores needs a minute where an idle one needs six
