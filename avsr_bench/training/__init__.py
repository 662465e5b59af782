"""Training: from a recipe and prepared shards to a run.

`plan` decides, `clips` says what is trained on, `loop` trains, `job` is the whole.
"""
