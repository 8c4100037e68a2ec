"""drift: whether features, labels and predictions still are what a model was trained on.

Reads: nothing of the log yet; its rows come from the lake
Writes: nothing
Owns: what counts as drift, and how often it may alarm where nothing has changed
Never: says that all is well of what it could not judge
"""
