"""Training: from a recipe and prepared shards to a run.

`recipe` says what there is to set, `material` what is trained on, `module` what Lightning drives, `job` is the whole.
"""
