"""`python -m avsr_bench` is `avsr-bench`."""

from .cli import main

main()
