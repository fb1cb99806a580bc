"""Supervised fine-tuning of students, in one process or many, and their weights.

Imports: cost, job, models, slurm, spec, store.
"""
