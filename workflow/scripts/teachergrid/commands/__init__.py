"""The commands of `teachergrid`: one file each, and one parser for all.

Imports: analysis, cost, decisions, engines, evaluation, grid, hub, job, planning, probe, replication, run, slurm, spec, store, tasks.
"""
