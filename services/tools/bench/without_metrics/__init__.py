"""A folder for PYTHONPATH, not to be imported: the rooms of `bench metrics` without metrics."""
