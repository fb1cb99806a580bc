"""Models answer benchmarks, and judges compare the answers."""
