"""The results folder: tables, origins, shards, history, lock, and records about jobs.

Imports: spec.
"""
