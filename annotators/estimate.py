"""What a slice would cost, before anybody pays: from traces that are there, or from counting some of its requests."""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from annotators.jobs import JobPlan, Jobs
from annotators.media_encoding import Undecodable
from annotators.media_pool import EncoderPool
from annotators.messages import CountingTeacher, ImagePart, Request, Teacher, TextPart, VideoPart
from annotators.money import Price

SAMPLED = 24  # requests built and counted for each kind of sample


@dataclass(frozen=True)
class CostEstimate:
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


async def estimate(
    plan: JobPlan, jobs: Jobs, teacher: Teacher, price: Price | None, encoder: EncoderPool
) -> CostEstimate:
    """Estimate all jobs of a plan; the media of some samples are prepared, and no answer is asked for."""
    s = plan.settings
    past = {(kind, data): (i, o) for kind, data, i, o in plan.measured()}
    wanted: Counter[tuple[str, str]] = Counter()
    sampled: dict[tuple[str, str], list[int]] = {}
    unshowable = 0
    counting = teacher if isinstance(teacher, CountingTeacher) and teacher.has_key else None
    for batch in jobs.batches():
        for job in batch:
            kind = (job.sample["problem_type"], job.sample["data_type"])
            wanted[kind] += 1
            if kind not in past and len(sampled.setdefault(kind, [])) < SAMPLED:
                try:
                    request = await plan.encode_request(job, encoder)
                except Undecodable:
                    unshowable += 1
                else:
                    sampled[kind].append(await counting.count(request) if counting else estimate_input_tokens(request))
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
            likely += n * price.max_cost(round(each), round(answer or 0), batch=s.batch)
            most += n * price.max_cost(round(each), s.max_tokens + (s.thinking_tokens or 0), batch=s.batch)
    return CostEstimate(
        requests=wanted.total(),
        input_tokens=input_tokens,
        output_tokens=output_tokens if all_known else None,
        likely_usd=likely if price and all_known else None,
        most_usd=most if price else None,
        unshowable=unshowable,
        counted="traces of this teacher" if not sampled else "the provider's count" if counting else "estimated here",
    )


def estimate_input_tokens(request: Request) -> int:
    """About the input tokens of a request: four bytes of English a token, 750 pixels a token of an image."""
    total = 8 + len((request.system or "").encode()) // 4
    for part in request.parts:
        match part:
            case TextPart():
                total += len(part.text.encode()) // 4
            case ImagePart():
                total += part.width * part.height // 750
            case VideoPart():
                total += int(part.duration_s * 300)
    return total


def _mean(counts: list[int]) -> float:
    return sum(counts) / len(counts) if counts else 0.0
