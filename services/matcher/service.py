"""The matcher on the loop: a core for each partition of `matching`."""

from typing import Final

from services.matcher.core import FORMAT_VERSION, MIGRATIONS, MatcherCore
from services.runtime.fold import Core, coded


class MatcherCores:
    """`runtime.fold.CoreFactory` of the matcher."""

    format_version = FORMAT_VERSION
    migrations = MIGRATIONS
    stateful = True

    def fresh(self, partition: int) -> Core:
        """A book before its genesis."""
        return MatcherCore(partition)

    def load(self, partition: int, state: bytes) -> Core:
        """A book from its dump."""
        return MatcherCore.load(partition, state)


make_folds: Final = coded(MatcherCores())
"""What `run_room` wants."""
