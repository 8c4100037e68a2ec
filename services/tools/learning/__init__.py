"""learning: data sets and models, as people ask for them."""
