"""The log in PostgreSQL, day by day: listed, written to files, dropped, brought back."""
