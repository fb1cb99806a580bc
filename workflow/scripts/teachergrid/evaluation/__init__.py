"""Models answer benchmarks, and judges compare the answers.

Imports: engines, instructions, models, responses, scoring, spec, stats, store, tasks.
"""
