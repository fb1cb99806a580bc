"""Instruction sets: loaded from files or a hub, without what overlaps with a benchmark.

Imports: hub, spec, store.
"""
