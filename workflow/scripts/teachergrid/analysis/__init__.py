"""A grid's result: performance, correlations of metrics with it, effects, a recommendation.

Imports: cost, data, evolution, metrics, spec, stats, store.
"""
