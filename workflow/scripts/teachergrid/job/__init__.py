"""One job: its log, devices, code fingerprint, what it took, and how it failed.

Imports: cost, hub, models, spec, store.
"""
