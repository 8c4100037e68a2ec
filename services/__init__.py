"""Outcry: an exchange and a machine-learning platform on one Kafka log."""
