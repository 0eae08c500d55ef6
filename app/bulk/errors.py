"""What ends a run before its end. Light: the command line names it."""


class BulkError(Exception):
    """A run cannot begin or go on; the message says what to do."""
