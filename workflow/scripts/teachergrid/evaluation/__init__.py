"""Models answer benchmarks, and judges compare the answers.

Imports: data, engines, hub, models, scoring, spec, stats, store, tasks.
"""
