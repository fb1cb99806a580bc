"""Probes: a few rows of a job that was never measured, run before planning.

Imports: cost, data, engines, evaluation, grid, hub, job, models, planning, scoring, spec, store, training.
"""
