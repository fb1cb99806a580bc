"""From a config to a checked config to a table of cells, one row per job.

Imports: cost, hub, job, metrics, scoring, spec, store.
"""
