"""Two papers' published tables through the same statistics.

Imports: pages, stats.
"""
