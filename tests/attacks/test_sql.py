"""Hostile SQL: what arrives as text reads the corpus and nothing else, and says what was refused.

Every attack runs against `Corpus.query`, the door of `onethinker sql`, or against `condition`, that of every --where.
"""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators import annotate
from annotators.agreement import record_agreement
from corpus import Corpus, OneThinkerError, UsageError
from corpus.check import check_corpus
from corpus.sql_gate import REFUSED_FUNCTIONS, check_query, condition
from filters import verify
from filters.candidates import Candidates
from filters.recipe import parse
from onethinker.cli import main

SECRET = "a secret outside the corpus"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    """A corpus of two rows; beside it files that no query may read or write."""
    root = tmp_path_factory.mktemp("sql")
    (root / "secret.csv").write_text(f"a,b\n{SECRET},2\n")
    (root / "secret.json").write_text('[{"a": "x"}]')
    duckdb.sql("select 1 as a").write_parquet(str(root / "secret.parquet"))
    with sqlite3.connect(root / "browser.sqlite") as other:
        other.execute("create table history (url text)")
    with Corpus.create(root / "corpus") as made:
        made.append("samples", [{"sample_id": s, "task": "image QA", "options": ["A", "B"]} for s in ("s1", "s2")])
        made.append("traces", [{"trace_id": "t1", "sample_id": "s1", "teacher": "p:m", "response": "x"}])
        yield made


def tree(root: Path) -> dict[str, bytes]:
    """Every file of a folder, less what SQLite and locks write while reading."""
    passing = ("-wal", "-shm", ".lock")
    return {str(p): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file() and not p.name.endswith(passing)}


# Each attack and the words by which the message names what was refused. {root} is the folder with the secrets.
WRITES = {
    "delete": ("delete from samples", "DELETE"),
    "delete-lake": ("delete from lake.samples", "DELETE"),
    "update": ("update samples set task = 'x'", "UPDATE"),
    "insert": ("insert into samples (sample_id) values ('x')", "INSERT"),
    "merge": ("merge into samples using traces using (sample_id) when matched then delete", "MERGE"),
    "truncate": ("truncate samples", "DELETE"),
    "drop-view": ("drop view samples", "DROP"),
    "create-table": ("create table x as select 1", "CREATE"),
    "create-view": ("create or replace view samples as select 1 as sample_id", "CREATE"),
    "create-macro": ("create macro lower(x) as 'x'", "CREATE"),
    "create-secret": ("create secret (type s3, key_id 'a', secret 'b')", "CREATE"),
    "create-in-cte": ("with x as (insert into samples values (1) returning *) from x", "CTE needs a SELECT"),
    "alter": ("alter table samples add column x int", "ALTER"),
    "copy-query": ("copy (select 1) to '{root}/out.csv'", "COPY"),
    "copy-table": ("copy samples to '{root}/out.parquet' (format parquet)", "COPY"),
    "copy-from": ("copy samples from '{root}/secret.csv'", "COPY"),
    "export": ("export database '{root}/out'", "EXPORT"),
    "attach-sqlite": ("attach '{root}/browser.sqlite' as b (type sqlite)", "ATTACH"),
    "attach-lake-writable": ("attach 'ducklake:sqlite:{root}/corpus/catalog.sqlite' as w", "ATTACH"),
    "attach-new": ("attach '{root}/new.duckdb'", "ATTACH"),
    "detach": ("detach lake", "DETACH"),
    "use": ("use lake", "SET|USE"),
    "install": ("install httpfs", "LOAD"),
    "load": ("load '/tmp/x.duckdb_extension'", "LOAD"),
    "set": ("set temp_directory = '{root}'", "SET"),
    "reset": ("reset memory_limit", "SET"),
    "pragma": ("pragma database_list", "only SELECT"),
    "call-expire": ("call ducklake_expire_snapshots('lake', older_than => now())", "CALL"),
    "call-options": ("call lake.set_option('x', 1)", "CALL"),
    "begin": ("begin", "TRANSACTION"),
    "checkpoint": ("checkpoint", "CALL|CHECKPOINT"),
    "vacuum": ("vacuum", "VACUUM"),
    "prepare": ("prepare x as delete from samples", "PREPARE"),
    "execute": ("execute x", "EXECUTE"),
    "explain-analyze": ("explain analyze copy (select 1) to '{root}/out.csv'", "EXPLAIN"),
    "two-statements": ("select 1; select 2", "2 statements"),
    "select-then-copy": ("select 1; copy (select 1) to '{root}/out.csv'", "COPY"),
    "select-then-delete": ("from samples; delete from samples", "DELETE"),
    "nothing": ("", "no statement"),
    "only-a-comment": ("-- select 1", "no statement"),
    "not-sql": ("slect 1", "syntax error"),
    "null-byte": ("select 1\0; delete from samples", "a null byte"),
    "lone-surrogate": ("select '\ud800'", "not SQL"),
}

READS = {
    "read-csv": ("from read_csv('{root}/secret.csv')", "table function read_csv"),
    "read-text": ("from read_text('/proc/self/environ')", "table function read_text"),
    "read-blob": ("from read_blob('{root}/corpus/catalog.sqlite')", "table function read_blob"),
    "read-json": ("from read_json('{root}/secret.json')", "table function read_json"),
    "read-parquet": ("from read_parquet('{root}/secret.parquet')", "table function read_parquet"),
    "parquet-scan": ("from parquet_scan('{root}/secret.parquet')", "table function parquet_scan"),
    "parquet-metadata": ("from parquet_metadata('{root}/secret.parquet')", "table function parquet_metadata"),
    "sniff": ("from sniff_csv('{root}/secret.csv')", "table function sniff_csv"),
    "glob": ("from glob('/etc/*')", "table function glob"),
    "sqlite-scan": ("from sqlite_scan('{root}/browser.sqlite', 'history')", "table function sqlite_scan"),
    "sqlite-scan-quoted": ("from \"SQLite_Scan\"('{root}/browser.sqlite', 'history')", "table function sqlite_scan"),
    "sqlite-attach": ("from sqlite_attach('{root}/browser.sqlite')", "table function sqlite_attach"),
    "sqlite-query": ("from sqlite_query('x', 'select 1')", "table function sqlite_query"),
    "postgres-query": ("from postgres_query('x', 'select 1')", "table function postgres_query"),
    "read-duckdb": ("from read_duckdb('{root}/x.duckdb', table_name='t')", "table function read_duckdb"),
    "ducklake-scan": ("from ducklake_list_files('lake', 'samples')", "table function ducklake_list_files"),
    "lake-snapshots": ("from lake.snapshots()", "table function snapshots of another schema"),
    "settings": ("from duckdb_settings()", "table function duckdb_settings"),
    "secrets": ("from duckdb_secrets()", "table function duckdb_secrets"),
    "which-secret": ("from which_secret('s3://x', 's3')", "table function which_secret"),
    "query-function": ("from query('select 1')", "table function query"),
    "query-table": ("from query_table('samples')", "table function query_table"),
    "serialized": ("from json_execute_serialized_sql('{{}}')", "table function json_execute_serialized_sql"),
    "arrow-scan": ("from arrow_scan(1, 2, 3)", "table function arrow_scan"),
    "pandas-scan": ("from pandas_scan(1)", "table function pandas_scan"),
    "logging": ("from enable_logging()", "table function enable_logging"),
    "quoted-file": ("from '{root}/secret.csv'", "the file '.*secret.csv'"),
    "quoted-identifier": ('from "{root}/secret.csv"', "the file '.*secret.csv'"),
    "dotted-file": ("from secret.csv", "the table secret.csv"),
    "glob-file": ("from '/etc/*.csv'", "the file '/etc/"),
    "web-file": ("from 'https://evil.example/x.csv'", "the file 'https:"),
    "in-subquery": ("select * from (select * from '{root}/secret.csv')", "the file"),
    "in-where": ("from samples where exists (from '{root}/secret.csv')", "the file"),
    "in-scalar": ("select (select a from read_csv('{root}/secret.csv'))", "read_csv"),
    "in-cte": ("with a as (from '{root}/secret.csv') from a", "the file"),
    "in-second-cte": ("with a as (select 1), b as (from a, '{root}/secret.csv') from b", "the file"),
    "in-recursion": ("with recursive a(n) as (select 1 union from '{root}/s.csv', a) from a", "the file"),
    "in-order": ("from samples order by (select a from '{root}/secret.csv')", "the file"),
    "in-limit": ("from samples limit (select count(*) from '{root}/secret.csv')", "the file"),
    "in-lambda": ("select list_transform([1], x -> (select a from '{root}/secret.csv'))", "the file"),
    "in-lateral": ("from samples s, lateral (from '{root}/secret.csv')", "the file"),
    "in-join": ("from samples join '{root}/secret.csv' on true", "the file"),
    "in-join-condition": ("from samples s join traces t on (select true from '{root}/secret.csv')", "the file"),
    "in-union": ("select task from samples union all select a from '{root}/secret.csv'", "the file"),
    "in-values": ("values ((select a from '{root}/secret.csv'))", "the file"),
    "in-unnest": ("from unnest((select list(a) from '{root}/secret.csv'))", "the file"),
    "in-window": ("select sum(1) over (order by (select a from '{root}/secret.csv')) from samples", "the file"),
    "in-filter": ("select count(*) filter (exists (from '{root}/secret.csv')) from samples", "the file"),
    "in-qualify": ("from samples qualify (select true from '{root}/secret.csv')", "the file"),
    "in-pivot": ("pivot (from '{root}/secret.csv') on a in ('x') using count(*)", "the file"),
    "in-unpivot": ("unpivot (from '{root}/secret.csv') on b", "the file"),
    "in-summarize": ("summarize '{root}/secret.csv'", "the file"),
    "in-summarize-query": ("summarize from read_csv('{root}/secret.csv')", "read_csv"),
    "in-describe": ("describe '{root}/secret.csv'", "the file"),
    "behind-a-comment": ("from samples, -- \n read_text('/etc/passwd')", "read_text"),
    "inside-a-comment": ("from samples /* harmless */, read_text /* ( */ ('/etc/passwd')", "read_text"),
    "upper-case": ("FROM READ_TEXT('/etc/passwd')", "read_text"),
    "schema-qualified": ("from main.read_text('/etc/passwd')", "read_text"),
    "own-schema": ("from system.main.read_text('/etc/passwd')", "read_text"),
    "a-cte-with-a-files-name": ("with \"{root}/secret.csv\" as (select 1) from '{root}/secret.csv'", "CTE name"),
    "a-cte-out-of-scope": ("from (with hidden as (select 1) from hidden), hidden", "no table or view 'hidden'"),
    "a-cte-within-itself": ("with hidden as (from hidden) from hidden", "no table or view 'hidden'"),
    "a-python-variable": ("from locals_of_the_caller", "no table or view 'locals_of_the_caller'"),
    "catalog-table": ("from lake.samples", "the table lake.samples"),
    "metadata": ("from __ducklake_metadata_lake.ducklake_snapshot", "the table __ducklake_metadata_lake"),
    "information-schema": ("from information_schema.tables", "the table information_schema.tables"),
    "pg-catalog": ("from pg_catalog.pg_settings", "the table pg_catalog.pg_settings"),
    "sqlite-master": ("from sqlite_master", "no table or view 'sqlite_master'"),
    "duckdb-views": ("from duckdb_logs", "no table or view 'duckdb_logs'"),
    "show-databases": ("show databases", "SHOW"),
    "show-of-a-catalog": ("show tables from __ducklake_metadata_lake", "SHOW"),
    "near-name": ("from sampels", "did you mean 'samples'"),
    "getenv": ("select getenv('OPENAI_API_KEY')", "function getenv"),
    "getenv-as-method": ("select ('HOME').getenv()", "function getenv"),
    "current-setting": ("select current_setting('secret_directory')", "function current_setting"),
    "variable": ("select getvariable('x')", "function getvariable"),
    "write-log": ("select write_log('x')", "function write_log"),
    "sleep": ("select sleep_ms(100000)", "function sleep_ms"),
    "pg-sleep": ("select pg_sleep(100)", "function pg_sleep"),
    "plan-of-sql": ("select json_serialize_plan('from read_csv(''/etc/passwd'')')", "function json_serialize_plan"),
    "sql-from-json": ("select json_deserialize_sql('{{}}')", "function json_deserialize_sql"),
    "read-text-as-a-value": ("select read_text('/etc/passwd')", "function read_text"),
    "function-of-the-lake": ("select lake.main.getenv('x')", "getenv of another schema"),
    "parameter": ("select $1", "a parameter"),
    "named-parameter": ("select $secret", "a parameter"),
    "deep-brackets": ("select " + "(" * 100_000 + "1" + ")" * 100_000, "memory exhausted"),
    "deep-expression": ("select " + "not " * 900 + "true", "nested too deeply"),
    "deep-sum": ("select 1" + " + 1" * 5_000, "expression depth"),
    "deep-subquery": ("select " + "(select " * 1_500 + "1" + ")" * 1_500, "expression depth"),
    "very-long": ("select '" + "x" * 1_000_001 + "'", "more than 1,000,000"),
}

# Conditions, as --where and a recipe carry them.
CONDITIONS = {
    "copy": ("true); copy (select 1) to '{root}/out.csv' --", "--where"),
    "delete": ("true; delete from samples", "--where"),
    "a-semicolon": ("true;", "--where"),
    "closes-the-bracket": ("true) or (true", "--where"),
    "closes-and-comments": ("true) --", "--where"),
    "union": ("true union select sample_id from samples", "not one condition"),
    "union-behind-a-bracket": ("false) union all (select 1", "--where"),
    "group": ("true group by 1", "not one condition"),
    "order": ("true order by 1", "not one condition"),
    "limit": ("true limit 0", "not one condition"),
    "limit-with-a-query": ("true limit (select count(*) from '{root}/secret.csv')", "not one condition"),
    "qualify": ("true qualify true", "not one condition"),
    "window": ("true window w as (order by 1)", "--where"),
    "sample": ("true using sample 1", "not one condition"),
    "empty": ("", "syntax error"),
    "blank": (" \n", "syntax error"),
    "comment": ("-- x", "syntax error"),
    "open-comment": ("true /*", "--where"),
    "open-string": ("task = 'x", "--where"),
    "dollar-quote": ("task = $$x", "--where"),
    "statement": ("select 1", "syntax error"),
    "file": ("task in (select a from '{root}/secret.csv')", "the file"),
    "environment": ("(select content from read_text('/proc/self/environ')) like '%KEY%'", "table function read_text"),
    "sqlite": ("exists (from sqlite_scan('{root}/browser.sqlite', 'history'))", "table function sqlite_scan"),
    "metadata": ("exists (from __ducklake_metadata_lake.ducklake_snapshot)", "the table __ducklake"),
    "lake": ("exists (from lake.snapshots)", "the table lake.snapshots"),
    "setting": ("current_setting('memory_limit') <> ''", "function current_setting"),
    "wait": ("sleep_ms(1000) is null", "function sleep_ms"),
    "parameter": ("task = ?", "a parameter"),
    "format-braces": ("task = {{where}}", "--where"),
}

HONEST = [
    "select task, count(*) from samples group by 1 order by all",
    "from samples",
    "select * from \"samples\" s where s.task = 'image QA'",
    "select * from main.samples",
    "FROM SAMPLES SELECT TASK",
    "with a as (from samples), b as (from a) select * from b, a",
    "with samples as (from samples where true) from samples",
    "with recursive r(n) as (select 1 union all select n + 1 from r where n < 3) select sum(n) from r",
    "with recursive r(n, m) using key (n) as (select 1, 1 union select n, m + 1 from r where m < 3) from r",
    "with a as materialized (select 1 as x) from a",
    "from samples s, lateral (select count(*) as n from traces t where t.sample_id = s.sample_id)",
    "select s.sample_id, option from samples s, unnest(options) t(option)",
    "from samples semi join traces using (sample_id)",
    "from samples anti join traces using (sample_id)",
    "from range(3), generate_series(1, 2)",
    "select row_number() over (partition by task order by sample_id) from samples qualify 1 = 1",
    "select list_transform(options, x -> lower(x)), [o for o in options if o = 'A'] from samples",
    "select distinct on (task) * exclude (media) replace (1 as split) from samples order by all limit 10 offset 0",
    "select task, split, count(*) from samples group by rollup (task, split)",
    "select columns('sample.*') from samples",
    "summarize samples",
    "describe samples",
    "describe select task from samples",
    "show tables",
    "pivot (select task, sample_id from samples) on task in ('image QA') using count(*)",
    "unpivot (select 1 as a, 2 as b) on a, b into name n value v",
    "from samples using sample 1",
    "select task from samples union all by name select teacher as task from traces",
    "values (1), (2)",
    "table samples",
    "select exists (from traces), 1 in (select 1), (select count(*) from runs)",
    "select truth->>'$.a', origin.file, options[1:2], media[1].sha256 from samples",
    "select case when task is null then 1 else 2 end, try_cast('x' as int), 'a'::varchar from samples",
    "select sample_id from samples tablesample 100%",
    "select date '2020-01-01' + interval 3 days, extract(year from now()), try(1 / 0)",
    "select uuid() is not null, random() < 2, current_date is not null",
    "from scored_traces",
    "from runs",
    "from provenance",
    "select * from samples; -- the end",
]


@pytest.mark.parametrize(("query", "named"), [*WRITES.values(), *READS.values()], ids=[*WRITES, *READS])
def test_a_query_that_does_more_than_read_the_corpus_is_refused_by_name(corpus: Corpus, query: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        corpus.query(query.format(root=corpus.root.parent))


@pytest.mark.parametrize(("where", "named"), CONDITIONS.values(), ids=CONDITIONS)
def test_a_condition_that_is_more_than_one_is_refused_by_name(corpus: Corpus, where: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        condition(where.format(root=corpus.root.parent))


@pytest.mark.parametrize("query", HONEST)
def test_an_honest_query_runs(corpus: Corpus, query: str) -> None:
    assert corpus.query(query).fetchall() == corpus.sql(query).fetchall() or "random" in query or "sample" in query


@pytest.mark.parametrize(
    "where",
    ["task = 'image QA'", "true -- all", "a.task is null or false", "sample_id in (select sample_id from traces)", "x"],
)
def test_an_honest_condition_keeps_its_words(where: str) -> None:
    assert condition(where) == f"({where}\n)"


def test_nothing_was_written_or_changed_by_any_attack(corpus: Corpus) -> None:
    root = corpus.root.parent
    before = tree(root)
    for query, _ in [*WRITES.values(), *READS.values()]:
        with pytest.raises(UsageError):
            corpus.query(query.format(root=root))
    assert tree(root) == before
    assert corpus.query("select count(*) from samples").fetchall() == [(2,)]


def test_every_command_that_takes_a_condition_passes_the_gate(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before there was a gate, the dry run of annotate wrote this file."""
    out = corpus.root.parent / "out.csv"
    attack = f"true); copy (select 1) to '{out}' --"
    for act in (
        lambda: annotate(corpus, teacher="local:pixels-1", where=attack, dry_run=True),
        lambda: record_agreement(corpus, attack),
        lambda: verify(corpus, attack),
        lambda: check_corpus(corpus, where=attack),
        lambda: Candidates(corpus, profile="strict", where=attack),
        lambda: parse(f'where: "{attack}"\nsteps: []'),
    ):
        with pytest.raises(UsageError, match="copy"):
            act()
    for command in (["escalate", "--teacher", "local:pixels-1"], ["verify"], ["check"]):
        assert main([*command, "--where", attack, "--corpus", str(corpus.root)]) == 2
        assert "copy" in capsys.readouterr().err
    assert not out.exists()


def test_a_recipe_names_its_file_and_key() -> None:
    with pytest.raises(UsageError, match=r"mine.yaml: key 'where': the table function read_text is refused"):
        parse("where: exists (from read_text('/proc/self/environ'))\nsteps: []", name="mine.yaml")


def test_the_command_reads_files_only_if_asked(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    secret = corpus.root.parent / "secret.csv"
    for query in (f"select a from '{secret}'", f"select a from read_csv('{secret}')"):
        assert main(["sql", query, "--corpus", str(corpus.root)]) == 2
        assert "--files" in capsys.readouterr().err
        assert main(["sql", query, "--files", "--corpus", str(corpus.root), "--format", "csv"]) == 0
        assert SECRET in capsys.readouterr().out
    for query in (f"copy (select 1) to '{secret}'", f"from sqlite_scan('{secret}', 'x')", "select getenv('HOME')"):
        assert main(["sql", query, "--files", "--corpus", str(corpus.root)]) == 2
    assert SECRET in secret.read_text()


def test_the_second_wall_holds_where_the_gate_would_not(corpus: Corpus) -> None:
    """A connection that has no files left cannot read one, whatever the statement."""
    with Corpus.open(corpus.root) as other:
        other.restrict_files()
        assert other.query("select count(*) from scored_traces").fetchall() == [(1,)]
        for query in (f"from '{corpus.root.parent / 'secret.csv'}'", "from read_text('/proc/self/environ')"):
            with pytest.raises(OneThinkerError, match=r"Permission|disabled"):
                other.sql(query).fetchall()
        with pytest.raises(OneThinkerError):
            other.sql("set enable_external_access = true")


def test_every_function_with_side_effects_is_known(corpus: Corpus) -> None:
    """A new version of DuckDB that adds one fails here."""
    harmless = {"random", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "error", "is_live"}
    found = corpus.sql(
        "select distinct function_name from duckdb_functions() where function_type = 'scalar' and has_side_effects"
    ).fetchall()
    assert {name for (name,) in found} <= harmless | REFUSED_FUNCTIONS


def passes(check: Callable[[str], object], text: str, what: str) -> bool:
    """Whether the gate lets `text` through; a refusal must begin with `what`."""
    refused = ""
    try:
        check(text)
    except UsageError as error:
        refused = str(error)
    assert refused == "" or refused.startswith(f"{what}: ")
    return not refused


@given(st.text(max_size=60))
def test_any_text_is_a_query_or_refused(text: str) -> None:
    passes(check_query, text, "SQL")
    passes(condition, text, "--where")


_WORDS = ["(", ")", "true", "or", "and", ";", "--", "/*", "*/", "'", "$$", "select", "from", "samples", "'/x.csv'"]
_WORDS += ["union", "limit", "1", ",", "copy", "to", "where", "x", "=", "\n"]


@given(st.lists(st.sampled_from(_WORDS), max_size=12).map(" ".join))
def test_any_condition_stays_inside_its_brackets(text: str) -> None:
    """What passes leaves the rest of its statement as it was."""
    if passes(condition, text, "--where"):
        whole = f"select 1 from samples where {condition(text)} and false order by 1"
        check_query(whole)
        assert len(duckdb.extract_statements(whole)) == 1
