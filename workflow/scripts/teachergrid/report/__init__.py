"""The page of a grid: one module per section.

Imports: analysis, cost, hub, instructions, job, metrics, pages, responses, spec, stats, store.
"""
