"""Probes: a few rows of a job that was never measured, run before planning."""
