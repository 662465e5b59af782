"""Damaged and hostile files of every kind that is read, each through the command that a user would type.

    python -m benchmarks.mutations --kind video --count 10000 --seed 0 --jobs 2
    python -m benchmarks.mutations --kind video --seed 0 --only 1234      # one case again; its file is kept

`world` makes good files of every kind, `kinds` says which commands read them, `mutate` damages one of them, and
`isolation` runs the command in a process of its own and judges how it ended.
"""
