"""Risk on the loop: a core for each partition of `accounts`."""

from typing import Final

from services.risk.core import FORMAT_VERSION, MIGRATIONS, RiskCore
from services.runtime.fold import Core, coded


class RiskCores:
    """`runtime.fold.CoreFactory` of risk."""

    format_version = FORMAT_VERSION
    migrations = MIGRATIONS
    stateful = True

    def fresh(self, partition: int) -> Core:
        """Accounts before the genesis."""
        return RiskCore(partition)

    def load(self, partition: int, state: bytes) -> Core:
        """Accounts from their dump."""
        return RiskCore.load(partition, state)


make_folds: Final = coded(RiskCores())
"""What `run_room` wants."""
