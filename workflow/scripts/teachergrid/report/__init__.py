"""The page of a grid: one module per section.

Imports: analysis, instructions, job, pages, responses, spec, stats, store.
"""
