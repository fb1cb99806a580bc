"""Instructions and the responses to them: loaded or generated, with reasoning apart, joined, checked, and how many there are.

Imports: engines, hub, spec, store.
"""
