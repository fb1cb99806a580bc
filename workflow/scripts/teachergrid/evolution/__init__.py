"""Models rewrite instructions: which sets a method adds to the config, and what each set is made of.

Imports: data, engines, hub, spec, store, tasks.
"""
