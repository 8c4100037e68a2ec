"""`outcry audit`: everything that follows from the log, derived again and compared."""
