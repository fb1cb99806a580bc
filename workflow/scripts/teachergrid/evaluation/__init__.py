"""Models answer benchmarks, and judges compare the answers.

Imports: engines, scoring, spec, store, tasks.
"""
