"""Statistics without any knowledge of teachers: ranks, resampling, comparisons.

Imports: nothing of the package.
"""
