"""The demo: a small synthetic world, a local teacher that answers questions about it, and the page of a run."""
