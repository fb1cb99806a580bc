"""The plan: which jobs run and why, what they cost, when they end, and what would be cheaper.

Imports: cost, data, grid, hub, job, pages, slurm, spec, store.
"""
