"""Clients that people have, as they are, against a live server."""
