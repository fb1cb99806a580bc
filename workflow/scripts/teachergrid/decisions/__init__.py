"""What follows from the tables of a grid: which teacher, which metric, what choosing rows is worth, what to run next; and the summary.

Imports: analysis, metrics, spec, stats, store.
"""
