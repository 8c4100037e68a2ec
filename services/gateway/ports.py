"""What the gateway needs of the log. Adapters: command_log.py, and in memory in the tests."""

from typing import Protocol


class LogUnavailableError(Exception):
    """The command was not written, and never will be by this call. Safe to send again."""


class OutcomeUnknownError(Exception):
    """The command may or may not have been written. Safe to send again under the same id."""


class CommandLog(Protocol):
    """The `orders` topic as a place to put commands."""

    async def append(
        self, partition: int, key: bytes, value: bytes, traceparent: bytes | None = None
    ) -> None:
        """Write one record; returns only once all in-sync replicas have it.

        `traceparent` stands beside it as a header, and is no part of it.

        Returns or raises within the adapter's time limit.

        Raises:
            LogUnavailableError: nothing was written.
            OutcomeUnknownError: not confirmed within the limit.
        """

    @property
    def available(self) -> bool:
        """Whether the log answered when it was last asked."""
