"""Which partition a key belongs to."""

from functools import lru_cache
from zlib import crc32


@lru_cache(maxsize=65_536)
def account_partition(account: str, partitions: int) -> int:
    """CRC-32 of the account modulo the partitions (librdkafka's `consistent` partitioner)."""
    return crc32(account.encode()) % partitions
