"""`outcry demo`: from a fresh checkout to an exchange at work, and a proof that it lost nothing."""
