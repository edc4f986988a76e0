"""The comparison of advantage estimators on a tiny model, and the demo training."""
