"""The only plumbing: ports and their adapters, the transactional loop, snapshots, settings."""
