"""Scores of responses: rewards of every kind, and likelihoods.

Imports: models, spec, store, tasks.
"""
