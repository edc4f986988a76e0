"""What a slice would cost, before anybody pays: from traces that are there, or from counting some of its requests."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from annotators.http import NO_KEY
from annotators.jobs import Job, Jobs, Plan
from annotators.media_encoding import Undecodable
from annotators.media_pool import Preparer
from annotators.messages import Clip, Picture, Request, Text
from annotators.money import Price

SAMPLED = 24  # requests built and counted for each kind of sample


@dataclass(frozen=True)
class Estimate:
    """The requests a run would send and their tokens and cost; `most_usd` is with the longest answers allowed.

    `likely_usd` needs measured output lengths; None where the corpus has none of this teacher for some kind.
    `counted` says how input tokens were found: from traces, by the provider, or estimated here.
    """

    requests: int
    input_tokens: int
    output_tokens: int | None
    likely_usd: Decimal | None
    most_usd: Decimal | None
    unshowable: int
    counted: str


async def estimate(plan: Plan, jobs: Jobs, teacher: object, price: Price | None, preparer: Preparer) -> Estimate:
    """Estimate all jobs of a plan; the media of some samples are prepared, and no answer is asked for."""
    s = plan.settings
    past = {(kind, data): (i, o) for kind, data, i, o in plan.measured()}
    wanted: Counter[tuple[str, str]] = Counter()
    sampled: dict[tuple[str, str], list[int]] = {}
    unshowable = 0
    counts = getattr(teacher, "count", None) if getattr(teacher, "secret", None) != NO_KEY else None
    for batch in jobs.batches():
        for job in batch:
            kind = (job.sample["problem_type"], job.sample["data_type"])
            wanted[kind] += 1
            if kind not in past and len(sampled.setdefault(kind, [])) < SAMPLED:
                try:
                    request = await _request(plan, job, preparer)
                except Undecodable:
                    unshowable += 1
                else:
                    sampled[kind].append(await counts(request) if counts else likely_input_tokens(request))
    input_tokens = output_tokens = 0
    likely = most = Decimal(0)
    all_known = True
    for kind, n in wanted.items():
        each = past[kind][0] if kind in past else _mean(sampled[kind])
        answer = past[kind][1] if kind in past else None
        all_known &= answer is not None
        input_tokens += round(n * each)
        output_tokens += round(n * (answer or 0))
        if price:
            likely += n * price.most(round(each), round(answer or 0), batch=s.batch)
            most += n * price.most(round(each), s.max_tokens + (s.thinking_tokens or 0), batch=s.batch)
    return Estimate(
        requests=wanted.total(),
        input_tokens=input_tokens,
        output_tokens=output_tokens if all_known else None,
        likely_usd=likely if price and all_known else None,
        most_usd=most if price else None,
        unshowable=unshowable,
        counted="traces of this teacher" if not sampled else "the provider's count" if counts else "estimated here",
    )


async def _request(plan: Plan, job: Job, preparer: Preparer) -> Request:
    media = [await preparer.parts(m, job.ask.look, keep=False) for m in job.sample["media"] or ()]
    return plan.request(job, media)


def likely_input_tokens(request: Request) -> int:
    """About the input tokens of a request: four bytes of English a token, 750 pixels a token of an image."""
    total = 8 + len((request.system or "").encode()) // 4
    for part in request.parts:
        match part:
            case Text():
                total += len(part.text.encode()) // 4
            case Picture():
                total += part.width * part.height // 750
            case Clip():
                total += int(part.duration_s * 300)
    return total


def _mean(counts: list[int]) -> float:
    return sum(counts) / len(counts) if counts else 0.0
