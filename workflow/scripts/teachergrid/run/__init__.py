"""A run: its options, the Snakemake process it supervises, its progress, its end, and the status of all cells.

Imports: cost, engines, evaluation, grid, hub, job, pages, planning, slurm, store.
"""
