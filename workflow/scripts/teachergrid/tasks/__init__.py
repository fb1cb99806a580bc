"""Benchmarks: how an answer is checked.

Imports: spec.
"""
