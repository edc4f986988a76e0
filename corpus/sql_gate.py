"""The one gate for SQL that arrives as text: `onethinker sql`, every `--where`, and the conditions of recipes.

DuckDB's own parser (`json_serialize_sql`) turns the text into a tree, and the tree is checked: one statement that
reads, tables and views of the corpus and the statement's own CTEs, functions that see nothing but their arguments.
Whatever the gate does not know is refused. Code inside the package runs its own SQL without it.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import duckdb
import orjson

from corpus.errors import UsageError, near
from corpus.schema import TABLES
from corpus.views import VIEWS

MAX_CHARS = 1_000_000  # of one statement; the parser needs some 30 times as many bytes
NAMES = frozenset(TABLES) | frozenset(VIEWS)
TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})
_READ = "csv csv_auto json json_auto json_objects json_objects_auto ndjson ndjson_auto ndjson_objects parquet text blob"
_PARQUET = "scan metadata full_metadata file_metadata kv_metadata schema"
FILE_FUNCTIONS = frozenset({"glob", "sniff_csv"}).union(
    (f"read_{kind}" for kind in _READ.split()), (f"parquet_{kind}" for kind in _PARQUET.split())
)
# Functions that do more than compute: they plan or run SQL, read settings or the environment, write, or wait.
REFUSED_FUNCTIONS = frozenset(
    {"getenv", "current_setting", "getvariable", "which_secret", "write_log", "sleep_ms", "pg_sleep", "setseed"}
    | {"nextval", "currval", "stats", "query", "query_table", "json_serialize_plan", "json_deserialize_sql"}
    | {"json_execute_serialized_sql", "current_query", "current_query_id", "current_connection_id"}
    | {"current_transaction_id", "txid_current"}
)

# What json_serialize_sql calls the parts of a statement.
_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_REFS = frozenset({"BASE_TABLE", "EMPTY", "EXPRESSION_LIST", "JOIN", "PIVOT", "SHOW_REF", "SUBQUERY", "TABLE_FUNCTION"})
_PARTS = frozenset(
    {"DISTINCT_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "ORDER_MODIFIER"}
    | {"ASCENDING", "DESCENDING", "ORDER_DEFAULT"}
)
_CLASSES = frozenset(
    {"BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "DEFAULT", "FUNCTION"}
    | {"LAMBDA", "LAMBDA_REF", "OPERATOR", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "TYPE", "WINDOW"}
)
_FILE_NAME = re.compile(r"[./\\*]")
_PLAIN_NAME = re.compile(r"\w+")
_WHAT_TO_DO = {
    "EXPLAIN": "run the query itself",
    "CREATE": "use a CTE, `with name as (select …)`; a PIVOT needs its values, `pivot … on x in ('a', 'b')`",
    "MULTI": "a PIVOT needs its values, `pivot … on x in ('a', 'b')`",
    "COPY": "`onethinker sql … --format parquet > FILE` writes the rows of a query",
    "EXPORT": "`onethinker sql … --format parquet > FILE` writes the rows of a query",
}

Scope = frozenset[str]


def check_query(query: str, *, files: bool = False, what: str = "SQL") -> None:
    """Raise UsageError, naming what is refused, unless `query` is one SELECT over the corpus.

    With `files`, which only the person at the keyboard may say, functions such as read_parquet and quoted file names
    may stand where a table stands. `what` begins each message.
    """
    _Check(what, files).visit(_parse(query, what), frozenset())


def condition(text: str, *, what: str = "--where") -> str:
    """A condition as SQL that may follow `where` or `and`: `text` in parentheses, once it has passed the gate.

    Raises UsageError, naming what is refused, unless `text` is one expression that reads only the corpus.
    """
    tree = _parse(f"select 1 where {text}", what, text)
    # Read alone and in parentheses it must be the same, and leave the rest of the statement as it is.
    try:
        enclosed = _without_positions(_parse(f"select 1 where ({text}\n)", what, text))
    except UsageError:
        enclosed = None
    frame = _without_positions(_parse("select 1 where true", what))
    if enclosed != _without_positions(tree) or enclosed | {"where_clause": frame["where_clause"]} != frame:
        raise UsageError(f"{what}: {_short(text)} is not one condition; write it as it would follow WHERE")
    _Check(what, files=False).visit(tree, frozenset())
    return f"({text}\n)"


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"})


def _parse(query: str, what: str, shown: str | None = None) -> dict[str, Any]:
    """The tree of the query's one SELECT. Raises UsageError."""
    shown = _short(query if shown is None else shown)
    if len(query) > MAX_CHARS:
        raise UsageError(
            f"{what}: {len(query):,} characters of SQL, more than {MAX_CHARS:,}; join with a table instead"
        )
    if "\0" in query:  # where DuckDB stops reading
        raise UsageError(f"{what}: {shown} holds a null byte")
    try:
        query.encode()
        with _parser().cursor() as cursor:
            row = cursor.execute("select json_serialize_sql(?)", [query]).fetchone()
        assert row is not None
        found: dict[str, Any] = orjson.loads(row[0])
    except (duckdb.Error, UnicodeError) as error:
        raise UsageError(f"{what}: {shown} is not SQL: {error}") from None
    except orjson.JSONDecodeError:
        raise UsageError(f"{what}: {shown} is nested too deeply; use CTEs or fewer brackets") from None
    if found["error"]:
        if found["error_type"] == "parser":
            raise UsageError(f"{what}: {shown}: {found['error_message']}")
        raise UsageError(f"{what}: {_refuse_kind(query)}")
    statements = found["statements"]
    if len(statements) != 1:
        number = "no statement" if not statements else f"{len(statements)} statements"
        raise UsageError(f"{what}: {shown} has {number}, and one SELECT is run at a time")
    node: dict[str, Any] = statements[0]["node"]
    return node


def _refuse_kind(query: str) -> str:
    """Why a statement that cannot be serialized is refused: the kind of it that is not SELECT, and what to do."""
    try:
        kinds = [str(statement.type).rpartition(".")[2] for statement in duckdb.extract_statements(query)]
    except duckdb.Error:
        kinds = []
    kind = next((kind for kind in kinds if kind != "SELECT"), None)
    if kind is None:
        return f"{_short(query)} is not a SELECT that can be checked; only SELECT reads the corpus"
    todo = _WHAT_TO_DO.get(kind, "write it as a SELECT")
    return f"a {kind} statement is refused, since only SELECT reads the corpus; {todo}"


class _Check:
    """Walks a tree of json_serialize_sql; `scope` holds the CTE names that a table reference may use there."""

    def __init__(self, what: str, files: bool) -> None:
        self.what = what
        self.files = files
        self._refs: dict[str, Callable[[dict[str, Any], Scope], None]] = {
            "BASE_TABLE": self._check_table,
            "SHOW_REF": self._check_show,
            "TABLE_FUNCTION": self._check_table_function,
        }

    def visit(self, value: Any, scope: Scope) -> None:
        """Check `value`, a part of the tree, and all below it. Raises UsageError."""
        if isinstance(value, list):
            for item in value:
                self.visit(item, scope)
        elif isinstance(value, dict):
            self._visit_dict(value, scope)

    def _visit_dict(self, part: dict[str, Any], scope: Scope) -> None:
        kind = part.get("type")
        if "class" in part:
            self._check_expression(part)
        elif isinstance(kind, str):
            if kind not in _NODES | _REFS | _PARTS and not kind.endswith("_TYPE_INFO"):
                self._refuse(f"this kind of SQL ({kind})")
            if check := self._refs.get(kind):
                check(part, scope)
        if "cte_map" in part:
            scope = self._visit_ctes(part, scope)
        for name, value in part.items():
            if name != "cte_map":
                # A table function's own name was checked; its arguments are expressions like others.
                below = value.get("children") if kind == "TABLE_FUNCTION" and name == "function" else value
                self.visit(below, scope)

    def _visit_ctes(self, node: dict[str, Any], scope: Scope) -> Scope:
        """Check the CTEs of a node; the scope of its other parts."""
        for entry in (node.get("cte_map") or {}).get("map", ()):
            self.visit(entry["value"], scope)
            scope |= {self._cte_name(entry["key"])}
        if node["type"] in ("RECURSIVE_CTE_NODE", "CTE_NODE"):
            scope |= {self._cte_name(node["cte_name"])}
        return scope

    def _cte_name(self, name: str) -> str:
        if not _PLAIN_NAME.fullmatch(name):  # DuckDB takes such a name for a file's wherever the CTE is not in scope
            self._refuse(f"the CTE name '{name}'", "use letters, digits and _")
        return name.lower()

    def _check_expression(self, part: dict[str, Any]) -> None:
        if part["class"] == "PARAMETER":
            self._refuse("a parameter (? or $name)", "write the value itself")
        if part["class"] not in _CLASSES:
            self._refuse(f"this kind of expression ({part['class']})")
        name = str(part.get("function_name", "")).lower()
        if part.get("catalog") or part.get("schema") not in (None, "", "main", "pg_catalog"):
            self._refuse(f"the function {name} of another schema", "name functions without catalog and schema")
        if name in REFUSED_FUNCTIONS:
            self._refuse(f"the function {name}", "only functions that compute from their arguments may be used")
        if name in FILE_FUNCTIONS:
            self._refuse(f"the function {name} as a value", self._hint_files("it reads files"))

    def _check_table(self, part: dict[str, Any], scope: Scope) -> None:
        name, catalog, schema = part["table_name"], part["catalog_name"], part["schema_name"]
        lower = name.lower()
        if schema == "recurring" and not catalog and lower in scope:  # of `with recursive … using key`
            return
        if catalog or schema not in ("", "main"):
            dotted = ".".join(filter(None, (catalog, schema, name)))
            self._refuse(f"the table {dotted}", "name tables without catalog and schema, and quote a file's name")
        if lower in scope or lower in NAMES:
            return
        if _FILE_NAME.search(name):
            if not self.files:
                self._refuse(f"the file '{name}'", self._hint_files())
            return
        raise UsageError(f"{self.what}: no table or view '{name}'{near(lower, NAMES | scope)}")

    def _check_table_function(self, part: dict[str, Any], scope: Scope) -> None:
        name = str(part["function"].get("function_name", "")).lower()
        if part["function"].get("catalog") or part["function"].get("schema"):
            self._refuse(f"the table function {name} of another schema", "name functions without catalog and schema")
        if name in TABLE_FUNCTIONS or (self.files and name in FILE_FUNCTIONS):
            return
        known = ", ".join(sorted(TABLE_FUNCTIONS))
        hint = self._hint_files() if name in FILE_FUNCTIONS else f"after FROM may stand {known} and the corpus's tables"
        self._refuse(f"the table function {name}", hint)

    def _check_show(self, part: dict[str, Any], scope: Scope) -> None:
        if part["catalog_name"] or part["schema_name"]:
            self._refuse("SHOW of another catalog", "`show tables` lists the corpus's tables and views")
        if part["query"] is None and part["table_name"].strip('"').lower() not in NAMES | {"tables"}:
            self._refuse(f"SHOW {part['table_name']}", "`show tables` lists the corpus's tables and views")

    def _hint_files(self, why: str = "it is outside the corpus") -> str:
        if self.files:
            return f"{why}: use it after FROM"
        return f"{why}; `onethinker sql … --files` may read files, a --where and a recipe may not"

    def _refuse(self, what: str, hint: str = "write it in plain SELECT, FROM, WHERE, GROUP BY") -> None:
        raise UsageError(f"{self.what}: {what} is refused: {hint}")


def _without_positions(tree: Any) -> Any:
    """The tree without the places in the text that its parts come from."""
    if isinstance(tree, dict):
        return {name: _without_positions(value) for name, value in tree.items() if name != "query_location"}
    return [_without_positions(value) for value in tree] if isinstance(tree, list) else tree


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f"'{line}'" if len(line) <= 80 else f"'{line[:79]}…'"
