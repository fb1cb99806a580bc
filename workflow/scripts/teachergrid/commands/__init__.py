"""The commands of `teachergrid`: one file each, and one parser for all.

Imports: cost, engines, evaluation, grid, hub, job, planning, probe, replication, run, slurm, spec, store, tasks.
"""
