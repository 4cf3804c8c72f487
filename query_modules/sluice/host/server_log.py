"""Sends this package's log to the server's own log file."""

from __future__ import annotations

import logging
import sys

ROOT = "sluice"


class ServerLogHandler(logging.Handler):
    """
    Writes to the log of the server that embeds this interpreter, through the object behind `mgp.Logger`. Threads: any.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record; a stack follows on separate lines."""
        try:
            write = getattr(sys.modules["_mgp"]._LOGGER, _level(record.levelno))
            write(f"{record.name}: {self.format(record)}")
        except Exception:
            self.handleError(record)


def connect() -> None:
    """Makes the package's loggers write to the server's log, once, however often the package is imported again."""
    logger = logging.getLogger(ROOT)
    for handler in list(logger.handlers):
        if type(handler).__name__ == ServerLogHandler.__name__:  # an older copy's class is a different class
            logger.removeHandler(handler)
    if hasattr(sys.modules.get("_mgp"), "_LOGGER"):
        logger.addHandler(ServerLogHandler())
        logger.propagate = False
    logger.setLevel(logging.INFO)


def _level(number: int) -> str:
    if number >= logging.CRITICAL:
        return "critical"
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug"
