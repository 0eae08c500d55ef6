"""Folders of files in bulk: found, run through the compute processes, written to a table."""
