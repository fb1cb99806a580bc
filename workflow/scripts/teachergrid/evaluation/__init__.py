"""Models answer benchmarks, and judges compare the answers.

Imports: engines, hub, instructions, models, responses, scoring, spec, stats, store, tasks.
"""
