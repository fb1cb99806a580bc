"""Engines: what turns prompts, or a file of responses, into responses."""
