"""What is measured; RESULTS.md holds what came out."""
