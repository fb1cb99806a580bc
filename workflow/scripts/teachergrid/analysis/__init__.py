"""A grid's result: performance, correlations of metrics with it, effects, a recommendation.

Imports: cost, metrics, responses, spec, stats, store.
"""
