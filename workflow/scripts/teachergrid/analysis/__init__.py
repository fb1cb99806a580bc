"""A grid's result: performance, correlations of metrics with it, effects, a recommendation.

Imports: cost, data, metrics, spec, stats, store.
"""
