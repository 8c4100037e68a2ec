"""inference: what a registered model says of a ticker, on request and for each new feature row.

Reads: features
Writes: predictions
Owns: the choice of the model that answers; models are the registry's, rows the online store's
Never: computes a feature, fills in one that is missing, or answers without naming its model
"""
