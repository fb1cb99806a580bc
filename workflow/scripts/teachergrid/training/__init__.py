"""What a student is trained on (the rows that a corpus selects, and the examples made of them), its fine-tuning in one process
or many, and its weights.

Imports: cost, metrics, models, slurm, spec, store.
"""
