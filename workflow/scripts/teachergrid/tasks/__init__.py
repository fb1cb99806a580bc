"""Benchmarks: how an answer is checked, and where programs of models run.

Imports: spec.
"""
