"""From a config to a checked config to a table of cells, one row per job.

Imports: analysis, cost, data, engines, evaluation, evolution, hub, job, metrics, models, scoring, spec, stats, store, tasks.
"""
