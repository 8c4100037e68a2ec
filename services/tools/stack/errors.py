"""What can go wrong with the stack. The command line prints the message as its one-line error.

StackError
├── FetchError             a component could not be downloaded or unpacked
├── AlreadyRunningError    a supervisor holds this home already
├── PortTakenError         someone else listens on a port the stack needs
└── StartError             a component did not become ready; carries the tail of its log
"""


class StackError(Exception):
    """One line: the cause and the next step."""


class FetchError(StackError):
    """A component could not be downloaded or unpacked."""


class AlreadyRunningError(StackError):
    """A supervisor holds this home already."""


class PortTakenError(StackError):
    """Someone else listens on a port the stack needs."""


class StartError(StackError):
    """A component did not become ready."""

    def __init__(self, message: str, log_tail: str) -> None:
        super().__init__(message)
        self.log_tail = log_tail
