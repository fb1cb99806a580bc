"""Models answer benchmarks, and judges compare the answers.

Imports: engines, models, responses, scoring, spec, stats, store, tasks.
"""
