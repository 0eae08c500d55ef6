"""RunError: what a run refuses with that is neither its data's fault nor its recipe's."""


class RunError(Exception):
    """A run cannot begin or go on; the message says what to do."""
