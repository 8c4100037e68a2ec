"""drift: whether features, labels and predictions still are what a model was trained on.

Reads: predictions, rows from the lake, models from the registry
Writes: results into PostgreSQL, reports under the home
Owns: what counts as drift, and how often it may alarm where nothing has changed
Never: says that all is well of what it could not judge
"""
