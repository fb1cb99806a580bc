"""A teacher's responses: generated or published, with reasoning apart, and their health.

Imports: engines, hub, instructions, store.
"""
