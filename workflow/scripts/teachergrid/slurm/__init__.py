"""SLURM: what the scheduler says of jobs, and what a site looks like.

Imports: spec.
"""
