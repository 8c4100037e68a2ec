"""Checks that stand outside the rooms and believe none of them."""
