"""Models and data sets that come from a hub: pinned revisions, what is needed, how it is fetched.

Imports: spec, store.
"""
