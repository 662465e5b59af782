"""What all tests stand on."""

import signal

# A shell that runs us in the background ignores Ctrl-C for us and for every command that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
