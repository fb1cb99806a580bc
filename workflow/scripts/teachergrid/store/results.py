"""Where results lie, relative to the folder that the workflow runs in."""

RESULTS = "results"
