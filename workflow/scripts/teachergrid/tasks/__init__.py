"""Benchmarks: how an answer is checked.

Imports: nothing of the package.
"""
