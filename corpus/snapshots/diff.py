"""Compare two snapshots: rows added, dropped with the reason, re-annotated, re-scored, and each task's reward shift.

It reads the frozen files, and the newer one's drops for the reasons.
"""

from dataclasses import dataclass

import pyarrow as pa

from corpus.lake import Lake
from corpus.snapshots.snapshot import Snapshot
from corpus.snapshots.versions import Snapshots

# The reason of a dropped row whose sample is not in the newer recipe's slice.
NOT_CONSIDERED = "not_considered"
_CHANGES = """
    with old as (select * from read_parquet($old)),
         new as (select * from read_parquet($new)),
         drops as (select sample_id, trace_id, reason from snapshot_drops
                   where name = $name and version = $version),
         gone as (select *, row_number() over (partition by sample_id order by reward desc nulls last, trace_id) as nth
                  from old anti join new using (trace_id)),
         came as (select *, row_number() over (partition by sample_id order by reward desc nulls last, trace_id) as nth
                  from new anti join old using (trace_id)),
         paired as (
            select case when g.trace_id is null and c.sample_id in (select sample_id from old) then 'trace added'
                        when g.trace_id is null then 'added'
                        when c.trace_id is not null then 're-annotated'
                        when g.sample_id in (select sample_id from new) then 'trace dropped'
                        else 'dropped' end as change,
                   coalesce(c.task, g.task) as task, coalesce(c.source, g.source) as source,
                   coalesce(c.sample_id, g.sample_id) as sample_id,
                   g.trace_id as old_trace_id, c.trace_id as new_trace_id,
                   g.teacher as old_teacher, c.teacher as new_teacher,
                   g.reward as old_reward, c.reward as new_reward,
                   coalesce(c.problem, g.problem) as problem, coalesce(c.answer, g.answer) as answer,
                   g.response as old_response, c.response as new_response,
                   g.position as old_position, c.position as new_position
            from gone g full join came c on g.sample_id = c.sample_id and g.nth = c.nth
            union all
            select 're-scored', n.task, n.source, n.sample_id, o.trace_id, n.trace_id, o.teacher, n.teacher, o.reward,
                   n.reward, n.problem, n.answer, o.response, n.response, o.position, n.position
            from old o join new n using (trace_id) where o.reward is distinct from n.reward),
         -- The trace's own reason if it was considered, else its sample's (such as `no_trace`).
         reasons as (
            select p.old_trace_id as trace_id, coalesce(any_value(t.reason), any_value(s.reason)) as reason
            from paired p left join drops t on t.trace_id = p.old_trace_id
                 left join drops s on s.sample_id = p.sample_id and s.trace_id is null
            where p.old_trace_id is not null group by 1)
    select change, task, source, p.sample_id,
           case when change in ('dropped', 'trace dropped', 're-annotated')
                then coalesce(r.reason, $not_considered) end as reason,
           old_trace_id, new_trace_id, old_teacher, new_teacher, old_reward, new_reward, problem, answer,
           old_response, new_response
    from paired p left join reasons r on r.trace_id = p.old_trace_id
    order by change, task, coalesce(old_position, new_position), new_position"""
_SHIFTS = """
    with old as (select task, sample_id, reward from read_parquet($old)),
         new as (select task, sample_id, reward from read_parquet($new)),
         shared as (select o.task, o.reward as old_reward, n.reward as new_reward
                  from (select task, sample_id, avg(reward) as reward from old group by all) o
                  join (select task, sample_id, avg(reward) as reward from new group by all) n using (task, sample_id))
    select task, coalesce(o.n, 0) as old_rows, coalesce(n.n, 0) as new_rows, o.mean as old_reward, n.mean as new_reward,
           n.mean - o.mean as shift, coalesce(b.n, 0) as common_samples, b.shift as shift_on_common
    from (select task, count(*) as n, avg(reward) as mean from old group by 1) o
         full join (select task, count(*) as n, avg(reward) as mean from new group by 1) n using (task)
         left join (select task, count(*) as n, avg(new_reward - old_reward) as shift from shared group by 1) b
                   using (task)
    order by task"""


@dataclass(frozen=True)
class Diff:
    """Two snapshots compared.

    `changes`: one row per change (added, dropped, trace added, trace dropped, re-annotated, re-scored) with the sample,
    the newer selection's reason for dropping the old trace, and both traces side by side. `shifts`: one row per task
    with both mean rewards, and their difference on the samples in both.
    """

    old: Snapshot
    new: Snapshot
    changes: pa.Table
    shifts: pa.Table

    def summary(self) -> pa.Table:
        """The number of changes by kind, reason and task."""
        keys = ["change", "reason", "task"]
        counted = self.changes.select([*keys, "sample_id"]).group_by(keys).aggregate([("sample_id", "count")])
        return counted.rename_columns([*keys, "rows"]).sort_by([(key, "ascending") for key in keys])


def diff(lake: Lake, old: str, new: str) -> Diff:
    """Compare the snapshot `new` with `old`. Raises OneThinkerError if either does not exist."""
    snapshots = Snapshots(lake)
    before, after = snapshots.get(old), snapshots.get(new)
    files = {"old": [str(path) for path in before.files], "new": [str(path) for path in after.files]}
    named = {"name": after.name, "version": after.version, "not_considered": NOT_CONSIDERED}
    changes = lake.sql(_CHANGES, {**files, **named}).to_arrow_table()
    return Diff(before, after, changes, lake.sql(_SHIFTS, files).to_arrow_table())
