"""Scores of responses: rewards of every kind, and likelihoods.

Imports: models, store, tasks.
"""
