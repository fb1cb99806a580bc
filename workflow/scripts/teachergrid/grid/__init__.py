"""From a config to a checked config to a table of cells, one row per job.

Imports: cost, engines, evaluation, evolution, hub, instructions, job, metrics, models, scoring, spec, store, tasks.
"""
