"""What all pages share: charts, words, templates.

Imports: nothing of the package.
"""
