"""Tests, in folders named for what they need; see README.md."""
