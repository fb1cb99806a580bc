"""Engines that let a model answer prompts.

Imports: models, spec.
"""
