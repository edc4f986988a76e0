"""Ingest of native files: every record ends as a sample, a trace, a known row, or a reject.

    ingest(corpus, "onethinker", ["onethinker_rl_train.json"], media_root="onethinker-data")

Records are read, measured and written in batches, one transaction each over samples, traces and rejects. Ids are hashes
of content (of the place, for rejects), so repeating a killed ingest completes it, and repeating another adds nothing.
"""

from corpus.ingest.run import ingest

__all__ = ["ingest"]
