"""The views that people query: every table under its own name, and the joins that they would write anyway.

They live in the reading connection, not in the catalog, so a corpus made by an older version has the newest views.
"""

_LIVE = """semi join (from lake.snapshots s where not exists (
    select 1 from lake.run_events r where r.kind = 'delete' and r.event = 'started'
    and json_extract_string(r.config, '$.snapshot') = s.name || '@' || s.version)) using (name, version)"""
# Tables that are shown in part: a deleted snapshot's rows stay in the lake, and a run of kind `delete` hides them.
SHOWN: dict[str, str] = {name: f"from lake.{name} {_LIVE}" for name in ("snapshots", "snapshot_rows", "snapshot_drops")}

VIEWS: dict[str, str] = {
    # A run is its first event and its last; one that began, never ended and holds no lock any more has crashed.
    "runs": """
        select s.run_id, s.kind,
               case when e.event is not null then e.event
                    when s.run_id in (select run_id from live_runs) then 'running' else 'crashed' end as status,
               s.config, s.code_version, e.counts, coalesce(e.cost_usd, 0) as cost_usd,
               s.created_at as started_at, e.created_at as finished_at,
               s.lake_snapshot as lake_before, e.lake_snapshot as lake_after, s.host, e.error
        from run_events s
             left join (from run_events where event <> 'started'
                        qualify row_number() over (partition by run_id order by created_at desc) = 1) e
                    on e.run_id = s.run_id
        where s.event = 'started'""",
    # The newest verdict of each trace under each profile: a newer verifier speaks over an older one.
    "latest_verdicts": """
        from verdicts
        qualify row_number() over (partition by trace_id, profile order by created_at desc, verifier desc) = 1""",
    # A trace with its sample's words and its newest verdict under each profile that has one.
    "scored_traces": """
        select t.*, s.task, s.problem_type, s.data_type, s.source, s.split, s.problem, s.answer as truth_answer,
               v.profile, v.verifier, v.format, v.structure, v.accuracy, v.reward, v.components, v.reason
        from traces t join samples s using (sample_id) left join latest_verdicts v using (trace_id)""",
    # What judges said of each trace: whether its reasoning holds, and of an answer in words its score from 0 to 1.
    "judgements": """
        with replies as (
            select params->>'about' as trace_id, teacher as judge, trace_id as judgement_id, created_at,
                   case when json_valid(answer) then answer end as reply
            from traces where mode = 'judge')
        select trace_id, judge, judgement_id, try_cast(reply->>'$.reasoning' as int) as first_unsound,
               case when reply->>'$.reasoning' ilike 'sound' then true
                    when first_unsound is not null then false end as sound,
               case when try_cast(reply->>'$.score' as double) between 0 and 10
                    then try_cast(reply->>'$.score' as double) / 10 end as score, created_at
        from replies where trace_id is not null and reply is not null""",
    # How hard a sample was for a teacher: passing is an accuracy of at least one half.
    "pass_rates": """
        select sample_id, task, problem_type, source, teacher, profile, count(*) as traces,
               count(accuracy) as scored, avg(accuracy) as mean_accuracy, max(reward) as best_reward,
               avg(case when accuracy is not null then (accuracy >= 0.5)::int end) as pass_rate
        from scored_traces where profile is not null
        group by all""",
    # From a sample to where it came from, who answered it, what that cost, how it was judged, and who trains on it.
    "provenance": """
        select s.sample_id, s.task, s.source, s.licence, s.origin.file as file, s.origin."row" as "row",
               t.trace_id, t.teacher, t.mode, t.prompt_id, p.text as prompt, t.cost_usd,
               v.profile, v.reward, v.accuracy, v.reason,
               (select list(distinct r.name || '@' || r.version order by r.name || '@' || r.version)
                from snapshot_rows r where r.trace_id = t.trace_id) as snapshots
        from samples s left join traces t using (sample_id) left join prompts p using (prompt_id)
             left join latest_verdicts v using (trace_id)""",
}
