"""Log lines: one JSON object each for machines, or plain text for a terminal.

Values are escaped in both, so that nothing that a client sends can begin a line of its own.
"""

import logging
import logging.config
import sys
from typing import Final, Literal

# What every record has anyway; the rest was given by who wrote the line.
_OWN_OF_RECORDS: Final = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"}
)
# What the message of a request's line says already.
_SAID_IN_MESSAGES: Final = frozenset({"method", "route", "status"})


class TextFormatter(logging.Formatter):
    """A line as people read it: time, level, message, and what else was given as name=value."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        given = " ".join(
            f"{name}={value!r}"
            for name, value in vars(record).items()
            if name not in _OWN_OF_RECORDS | _SAID_IN_MESSAGES and value is not None
        )
        return f"{super().format(record)} {given}".rstrip()


def configure_logging(log_format: Literal["auto", "json", "text"], level: str) -> None:
    """Have this process write its log to standard error.

    Args:
        log_format: how; «auto» is text on a terminal, and JSON elsewhere.
        level: the least severe lines that are written.
    """
    if log_format == "auto":
        log_format = "text" if sys.stderr.isatty() else "json"
    formatters = {
        "text": {"()": TextFormatter},
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": "{levelname}{name}{message}",
            "style": "{",
            "rename_fields": {"levelname": "level", "name": "logger"},
            "timestamp": "time",  # by RFC 3339, in UTC
            "reserved_attrs": list(_OWN_OF_RECORDS),
        },
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"chosen": formatters[log_format]},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "chosen"}},
            # They complain of what clients send, which the answer's line tells already.
            "loggers": {
                "python_multipart": {"level": "ERROR"},
                "hark.websockets": {"level": "ERROR"},
            },
            "root": {"handlers": ["stderr"], "level": level.upper()},
        }
    )
