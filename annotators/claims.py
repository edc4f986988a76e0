"""Claims: two workers, on one machine or many, never buy the same trace.

A worker claims a batch of jobs in one transaction before it asks. A claim holds as long as its run lives, and then
until what its journal holds is in the lake; after that it is void, and nothing needs to be taken back.
"""

from collections.abc import Sequence

from annotators.batch_files import pending_claims
from annotators.jobs import Job
from annotators.trace_writer import journal_folder, replay
from corpus.runs import Run


def claim_jobs(run: Run, jobs: Sequence[Job]) -> list[Job]:
    """Those of the jobs that nobody else holds and whose trace nobody has bought meanwhile, now claimed by `run`."""
    wanted = [(job, *job.ids) for job in jobs]
    replay(run.corpus)  # of workers that died since this one began
    with run.transaction(f"claim {len(jobs)} traces") as tx:
        # Under the transaction's lock: what another worker committed before is seen, and nobody commits in between.
        # The journals come first: one that is gone by now has its rows in the lake that is looked at next.
        journals = [path.parent.name for path in journal_folder(run.corpus).glob("*/lock")]
        gone = run.corpus.sql(
            """select c.trace_id from claims c join runs r using (run_id)
               where c.trace_id in (select unnest($claims)) and c.run_id <> $me
                     and (r.status = 'running' or c.run_id in (select unnest($journals)))
               union select trace_id from traces where trace_id in (select unnest($now))""",
            {
                "claims": [claim_id for _, _, claim_id in wanted],
                "me": run.run_id,
                "journals": journals,
                "now": [trace_id for _, trace_id, _ in wanted],
            },
        ).fetchall()
        held = {trace_id for (trace_id,) in gone} | pending_claims(run.corpus.root)
        ours = {claim: job for job, trace_id, claim in wanted if claim not in held and trace_id not in held}
        tx.append("claims", [{"trace_id": claim_id, "run_id": run.run_id} for claim_id in ours])
    return list(ours.values())
