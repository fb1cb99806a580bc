"""From a config to a checked config to a table of cells, one row per job.

Imports: cost, engines, hub, job, metrics, models, scoring, spec, store, tasks.
"""
