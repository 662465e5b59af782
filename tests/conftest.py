"""What all tests stand on."""

import signal

import hypothesis

from avsr_bench.cli.shared import quiet_threads

quiet_threads()  # as every command does, and before numpy is loaded: two processes test on two cores

# A shell that runs us in the background ignores Ctrl-C for us and for every command that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# On a busy machine any example may take longer than hypothesis' 200 ms: that says nothing about the code.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")
