"""Data preparation and benchmarks for lip reading: from talking-head video to WER against sparsity and noise."""
