"""The first paper's published tables through the same statistics.

Imports: pages, stats.
"""
