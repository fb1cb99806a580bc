"""Metrics of a corpus: formulas over rewards, likelihoods and text, with bootstrap intervals.

Imports: spec, store.
"""
