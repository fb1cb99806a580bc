"""Probes: a few rows of a job that was never measured, run before planning.

Imports: cost, engines, evaluation, grid, hub, instructions, job, models, planning, responses, scoring, spec, store, training.
"""
