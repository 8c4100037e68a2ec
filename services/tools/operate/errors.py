"""Why a command of an operator or trader did not succeed. The command line prints the message.

OperateError
├── UnreachableError   a part of the stack does not answer
├── RefusedError       the exchange answered, and refused; carries the reason's word
├── NoAnswerError      nothing came back in time; what was sent may still be worked on
└── UnknownError       nothing is known under the name that was asked for
"""


class OperateError(Exception):
    """One line: the cause and the next step."""


class UnreachableError(OperateError):
    """A part of the stack does not answer."""


class RefusedError(OperateError):
    """The exchange refused."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        """A word of domain/reasons.py, or a dead letter's cause."""


class NoAnswerError(OperateError):
    """Nothing came back in time."""


class UnknownError(OperateError):
    """Nothing is known under this name."""
