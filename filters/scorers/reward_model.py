"""reward_model: a scalar reward model over HTTP, POLAR-7B in the first place, as vLLM, SGLang or LMDeploy serve it.

    reward_model:vllm:internlm/POLAR-7B@http://127.0.0.1:30000

POLAR compares a candidate with a reference: question and reference, `<|reward|>`, question and candidate, and a closing
token, as its model card documents. Its score has no bounds; on the card's examples an answer like the reference gets
about 0, wrong ones -7 to -11. From it accuracy is linear, 0 at FLOOR and 1 at CEILING (our choice); the raw score is
kept among the verdict's components, so that another scale never means asking again.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import tenacity

from corpus import Corpus
from corpus.errors import UsageError, near
from filters.scorers import FreeTextAnswer, Score

FLOOR, CEILING = -10.0, 0.0
BATCH = 32
BATCHES_AT_A_TIME = 4
TIMEOUT_S = 120.0
TRIES = 4
MOST_CHARACTERS = 12_000  # about the 4,096 tokens of an answer that the model card's client keeps, from its end
# A candidate must not write the model's own tokens; and the media behind the placeholders are not sent.
_TOKENS = re.compile(r"<\|[^|<>]*\|>|\[UNUSED_TOKEN_\d+\]|<(?:image|video)>")


def _vllm(model: str, texts: list[str]) -> tuple[str, dict[str, Any]]:
    return "/pooling", {"model": model, "input": texts}


def _sglang(model: str, texts: list[str]) -> tuple[str, dict[str, Any]]:
    return "/classify", {"model": model, "text": texts}


def _vllm_scores(reply: Any) -> list[Any]:
    return [row["data"][-1][0] if isinstance(row["data"][-1], list) else row["data"][-1] for row in reply["data"]]


def _sglang_scores(reply: Any) -> list[Any]:
    return [row["embedding"][0] for row in reply]


def _lmdeploy_scores(reply: Any) -> list[Any]:
    return [row["data"][-1] if isinstance(row["data"], list) else row["data"] for row in reply["data"]]


# By server: the path and body of a request, and where the scores stand in its reply.
SERVERS = {
    "vllm": (_vllm, _vllm_scores),
    "sglang": (_sglang, _sglang_scores),
    "lmdeploy": (_vllm, _lmdeploy_scores),
}


@dataclass(frozen=True)
class RewardModel:
    """A reward model at an address."""

    server: str
    model: str
    url: str
    wait_s: float = 1.0  # before the first retry, doubled for each further one

    @property
    def word(self) -> str:
        """The model and the scale, not the address: the same model elsewhere gives the same scores."""
        return f"reward_model:{self.model}[{FLOOR:g},{CEILING:g}]"

    def scores(self, answers: Sequence[FreeTextAnswer]) -> list[Score]:
        """A score for each answer; those of a batch that failed at every try are `reward_model_failed`."""
        return asyncio.run(self._scores(answers))

    async def _scores(self, answers: Sequence[FreeTextAnswer]) -> list[Score]:
        texts = [polar_text(answer) for answer in answers]
        at_a_time = asyncio.Semaphore(BATCHES_AT_A_TIME)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:

            async def batch(start: int) -> list[Score]:
                async with at_a_time:
                    return await self._batch(session, texts[start : start + BATCH])

            batches = await asyncio.gather(*(batch(start) for start in range(0, len(texts), BATCH)))
        return [score for scores in batches for score in scores]

    async def _batch(self, session: aiohttp.ClientSession, texts: list[str]) -> list[Score]:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type((aiohttp.ClientError, TimeoutError, ValueError)),
            stop=tenacity.stop_after_attempt(TRIES),
            wait=tenacity.wait_exponential_jitter(multiplier=self.wait_s, jitter=self.wait_s),
        )
        try:
            raws: list[float] = await retrying(self._ask, session, texts)
        except tenacity.RetryError:
            return [Score(None, reason="reward_model_failed")] * len(texts)
        return [Score(min(max((raw - FLOOR) / (CEILING - FLOOR), 0.0), 1.0), raw=raw) for raw in raws]

    async def _ask(self, session: aiohttp.ClientSession, texts: list[str]) -> list[float]:
        ask, read = SERVERS[self.server]
        path, body = ask(self.model, texts)
        async with session.post(self.url.rstrip("/") + path, json=body) as reply:
            reply.raise_for_status()
            scores = await reply.json(content_type=None)
        try:
            raws = [float(raw) for raw in read(scores)]
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"no scores in the reply of {self.server}") from error
        if len(raws) != len(texts) or any(raw != raw for raw in raws):
            raise ValueError(f"{len(raws)} scores for {len(texts)} texts")
        return raws


def polar_text(answer: FreeTextAnswer) -> str:
    """The input that POLAR's model card documents, with the model's own tokens removed from the parts."""
    problem, reference, candidate = (
        _TOKENS.sub("", part)[-MOST_CHARACTERS:] for part in (answer.problem, answer.reference, answer.answer)
    )
    return f"{problem}\n{reference}<|reward|>{problem}\n{candidate}[UNUSED_TOKEN_130]"


def open_scorer(rest: str, corpus: Corpus) -> RewardModel:
    """The scorer of `SERVER:MODEL@URL`."""
    server, _, where = rest.partition(":")
    model, _, url = where.partition("@")
    if server not in SERVERS:
        raise UsageError(f"scorer 'reward_model': unknown server '{server}'{near(server, SERVERS)}")
    if not model or not url.startswith(("http://", "https://")):
        raise UsageError(
            "scorer 'reward_model' needs SERVER:MODEL@URL, as in vllm:internlm/POLAR-7B@http://host:30000, "
            f"not '{rest}'"
        )
    return RewardModel(server, model, url)
