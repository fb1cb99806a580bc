"""A grid's result: performance, correlations of metrics with it, effects, a recommendation.

Imports: data, metrics, spec, stats, store.
"""
