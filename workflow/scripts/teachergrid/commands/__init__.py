"""The commands of `teachergrid`: one file each, and one parser for all."""
