"""The seeded simulator: every room in one process, on a log in memory, under every fault."""
