"""`onethinker annotate`: have a teacher answer the samples of a slice."""

import sys
from typing import Annotated

from cyclopts import Parameter

from annotators.settings import Settings, flag
from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl, Format
from onethinker.output import show


def annotate(
    settings: Annotated[Settings, Parameter(name="*", name_transform=flag)],
    *,
    verify: bool = True,
    format: Format = "table",
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> int:
    """Have a teacher answer the samples of a slice; every answer becomes a trace.

    The same command continues an earlier run and buys nothing twice. It exits with 1 if it was to ask and got no
    trace. API keys and base URLs come from the SDKs' own variables (OPENAI_API_KEY, OPENAI_BASE_URL, ANTHROPIC_API_KEY,
    …).

    Example: `onethinker annotate --teacher local:pixels-1 --where "task = 'tracking'" --n 2 --corpus demo/corpus`

    Parameters
    ----------
    verify
        Score the traces as they arrive (profile strict) and show how many pass; nothing is left for `onethinker
        verify` then.
    """
    import pyarrow as pa

    from annotators import annotate_with
    from annotators.process_memory import frugal
    from filters.live_verify import LiveVerifier

    verifier = None
    with frugal(), Corpus.open(corpus) as opened:
        if verify and not settings.dry_run and settings.mode != "judge":
            with LiveVerifier(opened) as verifier:
                report = annotate_with(opened, settings, verifier=verifier)
        else:
            report = annotate_with(opened, settings)
    if report.estimate is not None:
        e = report.estimate
        columns = {name: [getattr(e, name)] for name in e.__dataclass_fields__}
        show(pa.table(columns), format, f"{settings.teacher}: {report.message}")
        return 0
    counted = {"traces": report.traces, "rejected": report.rejected, "left": report.left}
    counted |= {"held by other workers": report.elsewhere, "replayed": report.replayed}
    rows = [("", name, n) for name, n in counted.items() if n or name == "traces"]
    if verifier is not None and (verifier.verified or report.traces):
        rows += [("verified", "kept", verifier.kept), ("verified", "not kept", verifier.verified - verifier.kept)]
    kinds = {"flag": report.flags, "reject": report.rejects, "fault": report.faults, "tokens": report.tokens}
    rows += [(kind, name, n) for kind, counts in kinds.items() for name, n in counts.items()]
    columns = {name: [row[i] for row in rows] for i, name in enumerate(("kind", "name", "count"))}
    show(pa.table(columns), format, f"{settings.teacher}: ${report.cost_usd:.6f} in {report.seconds:.1f} s")
    if report.unsure_usd:
        print(
            f"up to ${report.unsure_usd:.6f} more may have been charged for requests that failed midway",
            file=sys.stderr,
        )
    if verifier is not None and verifier.error:
        print(f"verification stopped: {verifier.error}; run `onethinker verify` for the rest", file=sys.stderr)
    if report.message:
        print(report.message, file=sys.stderr)
    if report.traces or report.replayed or not (report.rejected or report.left):
        return 0
    print(f"no answer of {settings.teacher} became a trace", file=sys.stderr)
    return 1
