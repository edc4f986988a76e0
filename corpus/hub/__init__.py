"""Dataset versions on the HF Hub: `publish` writes one as a dataset repository, `pull` brings it into a corpus.

README.md                                        the card, written from the data
croissant.json                                   the same, machine-readable
snapshot.json                                    which version this is: fingerprint, counts, every file's SHA-256
recipe.yaml                                      what chose the rows
data/TASK/SPLIT/SOURCE-00000-of-00001.parquet    the rows, images and short clips inside
media/ab/SHA256.mp4                              media too large to lie inside a row
provenance/{prompts,runs,drops,verdicts}.parquet the runs, prompts, verdicts and drops behind the rows
"""

from corpus.hub.media_policy import Policy
from corpus.hub.publication import find_publication
from corpus.hub.publish import PublishResult, publish
from corpus.hub.pull import pull

__all__ = ["Policy", "PublishResult", "find_publication", "publish", "pull"]
