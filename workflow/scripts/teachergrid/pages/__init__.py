"""What all pages share: charts, words, templates."""
