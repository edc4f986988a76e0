"""Native files into the corpus: every record ends as a sample, a trace, something known already, or a reject.

    ingest(corpus, "onethinker", ["onethinker_rl_train.json"], media_root="onethinker-data")

Rows are read, measured and written in batches, each one transaction over samples, traces and rejects. Ids follow from
content and rejects from their place, so a run that was killed is completed by running it again, and running it twice
adds nothing.
"""

from corpus.ingest.run import ingest

__all__ = ["ingest"]
