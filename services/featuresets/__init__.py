"""featuresets: what each feature is, and the folds that make it; stream and backfill share it."""
