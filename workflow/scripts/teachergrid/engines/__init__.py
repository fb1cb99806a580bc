"""Engines that let a model answer prompts.

Imports: cost, models, spec, store.
"""
