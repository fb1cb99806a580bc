"""A language model: how it is loaded, its chat format, its prompt templates, its logits.

Imports: cost, hub, spec.
"""
