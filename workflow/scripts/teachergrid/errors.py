"""Errors that a user can mend; the message names the file, the key or the cell, and the remedy."""


class BadInput(ValueError):
    """Something given to the workflow is wrong. Jobs print its message without a traceback."""
