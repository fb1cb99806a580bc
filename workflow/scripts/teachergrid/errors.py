"""Errors that a user can fix. The message names the file, key or cell, and the remedy."""


class BadInput(ValueError):
    """Something given to the workflow is wrong. Jobs print its message without a traceback."""
