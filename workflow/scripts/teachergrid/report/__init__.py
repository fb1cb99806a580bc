"""The page of a grid: one module per section.

Imports: analysis, cost, data, decisions, hub, job, metrics, pages, spec, stats, store.
"""
