"""Drift on the command line: how often it alarms for nothing, and how soon for something."""
