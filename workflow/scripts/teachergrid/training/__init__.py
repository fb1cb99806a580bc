"""Supervised fine-tuning of students, in one process or many, and their weights."""
