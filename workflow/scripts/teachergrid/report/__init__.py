"""The report of a grid block: one HTML file that needs no server and no network (page.build, fed by collect)."""
