"""Names that no manifest and no report could hold: those are in UTF-8."""


def shown_if_unwritable(name: str) -> str | None:
    """Return how a name that is not UTF-8 is shown to a person; None for one that is."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode(errors="surrogateescape").decode(errors="replace")
    return None
