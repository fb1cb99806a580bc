"""The page of a grid: one module per section."""
