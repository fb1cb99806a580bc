"""The page of a grid: one module per section.

Imports: analysis, cost, data, decisions, evolution, hub, job, metrics, pages, spec, stats, store.
"""
