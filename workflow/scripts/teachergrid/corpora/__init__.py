"""What a student is trained on: the rows that a corpus selects, and the examples made of them.

Imports: metrics, models, store.
"""
