"""What a call can fail with.

ClientError
├── RefusedError          the gateway or the exchange said no; carries the reason's word
├── UnavailableError      nothing was done; it may succeed later
├── OutcomeUnknownError   a command may or may not have been written: ask, or send it again
├── EndedError            a gateway closed a stream for good: its key counts no more, say
└── UnreachableError      no gateway answers, or what answers is none
"""

from services.client.answers import Problem


class ClientError(Exception):
    """One line: the cause and the next step."""


class RefusedError(ClientError):
    """The gateway or the exchange said no."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.reason}: {problem.detail}")
        self.problem = problem
        self.reason = problem.reason
        """A word of the closed list that the API document has."""


class UnavailableError(ClientError):
    """Nothing was done; it may succeed later."""

    def __init__(self, problem: Problem, retry_after_s: float) -> None:
        super().__init__(f"{problem.reason}: {problem.detail}")
        self.problem = problem
        self.reason = problem.reason
        self.retry_after_s = retry_after_s


class OutcomeUnknownError(ClientError):
    """A command may or may not have been written; sending it again under its id is safe."""

    def __init__(self, command_id: str, cause: str) -> None:
        super().__init__(f"{command_id}: {cause}")
        self.command_id = command_id


class EndedError(ClientError):
    """A gateway closed a stream, and would close it again."""


class UnreachableError(ClientError):
    """No gateway answers, or what answers is none."""


def nobody_answers(cause: BaseException) -> UnreachableError:
    """Where no connection came about."""
    return UnreachableError(f"no gateway answers ({cause}); is it up? `outcry status` tells")
