"""Models answer benchmarks, and judges compare the answers.

Imports: engines, instructions, models, scoring, spec, store, tasks.
"""
