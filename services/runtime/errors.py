"""What can go wrong while operating, by what to do about it.

OperatingError
├── RetriableError            try again with backoff; the state in memory is still right
├── RestoreNeededError        throw the state away and restore from the committed offset
│   ├── UnknownOutcomeError   a commit may or may not have happened
│   └── FencedError           another instance took over; join again
└── FatalError                stop the process; a person has to act (the message says how)
    ├── ConfigurationError    a setting, a topic or a schema is not as the code needs it
    │   └── NoTablesError     the database is there, and nothing of Outcry in it yet
    └── HistoryLostError      the log no longer reaches back to what a restore needs
        └── OffsetsLostError  the group has no committed offset where it had one

Bad input is none of these: it is a value (a Reject reason) or a dead letter. A broken invariant is
none either: it is an `assert`, and crashes the process, for the supervisor to start it again.
"""


class OperatingError(Exception):
    """Something outside this process did not work. One line: the cause and the next step."""


class RetriableError(OperatingError):
    """Try again with backoff."""


class RestoreNeededError(OperatingError):
    """The state in memory may be ahead of the log; restore from the committed offset."""


class UnknownOutcomeError(RestoreNeededError):
    """A commit may or may not have happened; the committed offsets will tell."""


class FencedError(RestoreNeededError):
    """Another instance owns what this one thought it owned."""


class FatalError(OperatingError):
    """Stop; a person has to act."""


class ConfigurationError(FatalError):
    """A setting, a topic or a schema is not as the code needs it."""


class NoTablesError(ConfigurationError):
    """The database is there, and nothing of Outcry in it yet."""


class HistoryLostError(FatalError):
    """The log no longer reaches back to what a restore needs."""


class OffsetsLostError(HistoryLostError):
    """The group has no committed offset where a snapshot says that it had one."""
