"""Dataset versions on the HF Hub: `publish` writes one as a dataset repository, `pull` makes it a corpus again.

README.md                                        the card, written from the data
croissant.json                                   the same for machines
snapshot.json                                    which version this is: fingerprint, counts, every file's SHA-256
recipe.yaml                                      what chose the rows
data/TASK/SPLIT/SOURCE-00000-of-00001.parquet    the rows, pictures and short clips inside
media/ab/SHA256.mp4                              media too large to lie inside a row
provenance/{prompts,runs,drops,verdicts}.parquet what wrote and chose the rows
"""

from corpus.hub.layout import Policy
from corpus.hub.publish import Published, publish
from corpus.hub.pull import pull

__all__ = ["Policy", "Published", "publish", "pull"]
