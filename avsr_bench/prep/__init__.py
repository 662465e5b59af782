"""The `prep` job: a corpus becomes shards; finished shards are looked at and checked."""
