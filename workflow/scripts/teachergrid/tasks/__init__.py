"""Benchmarks: how an answer is checked."""
