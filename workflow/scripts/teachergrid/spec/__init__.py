"""The config schema, the canonical text of a spec, names, ids and seeds.

Imports: nothing of the package.
"""
