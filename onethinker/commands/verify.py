"""`onethinker verify`: score traces into verdicts."""

import pyarrow as pa

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Format, Where, Workers
from onethinker.output import show


def verify(
    *,
    where: Where = None,
    profile: str = "strict",
    workers: Workers = None,
    open_ended: str = "rouge",
    format: Format = "table",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Score every trace without a verdict into `verdicts`, and count the verdicts by reason.

    Running it again continues where it stopped. The condition may also use teacher, mode, prompt_id, attempt,
    finish_reason and flag of the traces.

    Example: `onethinker verify --where "task = 'tracking'" --corpus demo/corpus`

    Parameters
    ----------
    profile
        The reward profile: strict, or paper for exactly the released reward.
    workers
        Number of processes; by default one for each core.
    open_ended
        The scorer of open-ended answers: rouge, judge or judge:TEACHER (judgements in the corpus), or a reward model
        over HTTP, as reward_model:vllm:internlm/POLAR-7B@http://host:30000 (or sglang, lmdeploy).
    """
    from filters import verify as verify_corpus

    with Corpus.open(corpus) as opened:
        done = verify_corpus(opened, where, profile, workers, open_ended=open_ended)
    rows = {"reason": list(done.reasons), "traces": list(done.reasons.values())}
    schema = pa.schema([("reason", pa.string()), ("traces", pa.int64())])
    show(pa.table(rows, schema=schema), format, f"{done.traces:,} traces verified, profile {done.profile}")
