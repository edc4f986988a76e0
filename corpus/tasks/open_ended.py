"""Open-ended: answer or describe in words, captions included.

Answer   text
Reward   mean of the ROUGE-1, ROUGE-2 and ROUGE-L F-measures
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

import numpy as np

from corpus.answers.overlap import count_words, read_text, rouge, rouge_of_tokens, words
from corpus.scores import Batch, Scores
from corpus.task import QA, Example, Task, modality

SENTENCE_WORDS = 30  # up to here a truth is one statement, that a "not" more or less turns round
_DESCRIBE = re.compile(
    r"\b(describ\w*|descriptions?|caption\w*|summari[sz]\w*|summary|narrat\w*)\b|描述|概括", re.IGNORECASE
)
_NEGATIONS = frozenset(
    ["not", "no", "never", "none", "nobody", "nothing", "neither", "nor", "without", "cannot", *"不没无未非"]
)
# Words that two texts can share without saying anything in common.
_EMPTY_TEXT = """
    a an the this that these those it its he she they them his her their i we you my our your is are was were be been
    being am do does did has have had will would can could should may might of in on at to from by with for and or but
    as if than then so there here what which who whom where when how into onto over under up down out about also very
    的 了 是 在 一 个 这 那 和 与 有 我 你 他 她 它 们 着 也 就 都
"""


@cache
def _stemmed() -> tuple[frozenset[str], frozenset[str]]:
    """(negations, words without content) as they come out of the stemmer."""
    negations = count_words(" ".join(_NEGATIONS))[1]
    return frozenset(negations), frozenset(count_words(_EMPTY_TEXT)[1]) | frozenset(negations)


class OpenEnded(Task):
    """An answer in words, scored against a reference text."""

    name = "open-ended"
    families = (*QA, "image captioning", "video captioning")
    in_words = True
    ask = "Answer in words, as fully as the question asks for and no longer."
    reply_example = "A man in a red coat is crossing the street with his dog."
    examples = (
        Example("Paris", truth="Paris", reward=1),
        Example("巴黎", truth="巴黎", reward=1),
        Example("The cat is not black.", truth="The cat is black.", reward=0),
        Example("It is a thing that is in the picture.", truth="The man rides a horse in the desert.", reward=0),
    )

    def family(self, sample: Mapping[str, Any]) -> str:
        """Captioning if the question asks to describe, else question answering."""
        return f"{modality(sample)} {'captioning' if _DESCRIBE.search(sample['problem']) else 'QA'}"

    def read(self, text: str, data_type: str) -> str:
        """The text, normalised."""
        return read_text(text)

    def paper(self, batch: Batch) -> Scores:
        """The mean of three ROUGE F-measures, as rouge-score gives them."""
        means = [
            0.0 if truth is None else sum(rouge(truth, answer or "")) / 3.0
            for answer, truth in zip(batch.answers, batch.truths, strict=True)
        ]
        return Scores(np.clip(np.array(means, dtype=float), 0.0, 1.0), np.full(len(batch), 0.5))

    def strict(self, batch: Batch) -> Scores:
        """ROUGE over words of any script, with nothing for texts that share no content or that contradict."""
        read = self.readings(batch)
        parts = np.array(
            [_agreement(truth, answer) for answer, truth in zip(read.answers, read.truths, strict=True)], dtype=float
        ).reshape(-1, 5)
        accuracy, one, two, long, contradicts = parts.T
        return read.scores(accuracy, rouge1=one, rouge2=two, rouge_l=long, contradicts=contradicts)


def _profile(text: str) -> tuple[Any, frozenset[str], int]:
    counted = count_words(text)
    present = counted[1]
    turning, empty = _stemmed()
    negations = sum(present[word] for word in turning & present.keys())
    if "n't" in text or "n’t" in text:
        negations += sum(word.endswith(("n't", "n’t")) for word in words(text))
    return counted, frozenset(present.keys() - empty), negations


_known_profile = lru_cache(maxsize=4096)(_profile)  # a truth comes once for every trace of its sample


def _agreement(truth: str, answer: str) -> tuple[float, float, float, float, float]:
    """(accuracy, ROUGE-1, ROUGE-2, ROUGE-L, contradicts) of two normalised texts."""
    if truth == answer:
        return 1.0, 1.0, 1.0, 1.0, 0.0
    (theirs, their_content, their_negations), (mine, my_content, my_negations) = (
        _known_profile(truth),
        _profile(answer),
    )
    one, two, long = rouge_of_tokens(theirs, mine)
    contradicts = len(theirs[0]) <= SENTENCE_WORDS and (their_negations + my_negations) % 2 == 1
    nothing_shared = bool(their_content) and not their_content & my_content
    pairs = len(theirs[0]) > 1 and len(mine[0]) > 1
    mean = (one + two + long) / 3 if pairs else (one + long) / 2  # one word has no pairs for ROUGE-2 to count
    return (0.0 if contradicts or nothing_shared else mean), one, two, long, float(contradicts)
