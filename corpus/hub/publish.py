"""Publish a snapshot: write it as a dataset repository, scan that for secrets, and upload it as one commit.

The folder is built whole under the corpus's `cache/`, and removed after the upload. Large files are uploaded by content
before the commit names them, so an interrupted upload resumes with the missing files; the tag follows the commit.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.draft_folder import write_whole
from corpus.errors import OneThinkerError, UsageError
from corpus.hub import provenance
from corpus.hub.card import render_card
from corpus.hub.croissant import describe_croissant
from corpus.hub.layout import LAYOUT, write_rows
from corpus.hub.manifest import SNAPSHOT, parse_manifest, read_manifest
from corpus.hub.media_policy import Policy
from corpus.hub.publication import Publication
from corpus.hub.remote import Remote
from corpus.hub.scan import check_no_leaks
from corpus.ids import digest
from corpus.media import sha256_of

if TYPE_CHECKING:
    from corpus.snapshots import Snapshot
    from corpus.store import Corpus


@dataclass(frozen=True)
class PublishResult:
    """The folder of a dry run, or the commit and tag; `changed` is False if the version was published already."""

    snapshot: str
    repo: str
    tag: str
    files: int
    bytes: int
    folder: Path | None = None
    commit: str | None = None
    changed: bool = True


def publish(
    corpus: "Corpus",
    ref: str,
    repo: str,
    *,
    dry_run: Path | None = None,
    private: bool = False,
    policy: Policy | None = None,
    allow: Sequence[str] = (),
) -> PublishResult:
    """Publish the snapshot `ref` as the Hub dataset `repo` (`user/name`), tagged `v` and its version.

    With `dry_run`, a new or empty folder, only that folder is written. What lies within one of the texts `allow` does
    not count as a secret. Raises OneThinkerError if the scan finds a secret, the Hub refuses, the connection breaks
    (the same command resumes), or the tag exists with other rows.
    """
    _check_target(repo, dry_run)
    policy = policy or Policy()
    snapshot = corpus.snapshots.get(ref)
    config = {"snapshot": snapshot.ref, "repo": repo, "dry_run": dry_run is not None, "policy": _as_json(policy)}
    if dry_run is not None:
        with write_whole(dry_run) as draft:
            build(corpus, snapshot, repo, draft, policy, allow)
        return _summarize(snapshot, repo, dry_run, folder=dry_run)
    remote = Remote(repo, f"v{snapshot.version}")
    if (content := remote.read(SNAPSHOT)) is not None:
        there = parse_manifest(content)
        if there.fingerprint != snapshot.fingerprint:
            raise OneThinkerError(
                f"{repo} has {remote.tag} already, with other rows ({there.ref}, fingerprint "
                f"{there.fingerprint[:12]}…): a published version never changes; publish to another repository"
            )
        return PublishResult(snapshot.ref, repo, remote.tag, 0, 0, commit=remote.get_commit(), changed=False)
    with corpus.run("publish", config) as run:
        folder = corpus.root / "cache" / f"publish-{snapshot.ref}-{_key(snapshot, repo, policy)}"
        if not folder.exists():  # an interrupted upload leaves a whole one: it was moved into place
            draft = folder.with_name(folder.name + ".making")
            shutil.rmtree(draft, ignore_errors=True)
            draft.parent.mkdir(exist_ok=True)
            build(corpus, snapshot, repo, draft, policy, allow)
            draft.rename(folder)
        else:
            check_no_leaks(folder, allow)
        commit = remote.upload(folder, f"{snapshot.ref}: {snapshot.rows:,} rows", private=private)
        done = _summarize(snapshot, repo, folder, commit=commit)
        run.counts.update(rows=snapshot.rows, files=done.files, bytes=done.bytes)
        shutil.rmtree(folder)
    return done


def build(
    corpus: "Corpus", snapshot: "Snapshot", repo: str, folder: Path, policy: Policy, allow: Sequence[str] = ()
) -> None:
    """Write the whole repository into `folder`, or nothing.

    Raises OneThinkerError if the scan finds a secret, or `pull` would refuse a row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _build(corpus, snapshot, repo, folder, policy)
        check_no_leaks(folder, allow)
        Publication(str(folder), folder, read_manifest(folder)).check()  # what a pull would refuse is not published
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _build(corpus: "Corpus", snapshot: "Snapshot", repo: str, folder: Path, policy: Policy) -> None:
    row = corpus.sql(
        "select run_id, code_version, created_at from snapshots where name = ? and version = ?",
        [snapshot.name, snapshot.version],
    ).to_arrow_table()
    run_id, code_version, created_at = (column[0].as_py() for column in row.columns)
    row_files = write_rows(snapshot, folder, policy)
    provenance.write(corpus, snapshot, folder, run_id)
    (folder / "recipe.yaml").write_text(snapshot.recipe, encoding="utf-8")
    metadata: dict[str, Any] = {
        "layout": LAYOUT,
        "name": snapshot.name,
        "version": snapshot.version,
        "fingerprint": snapshot.fingerprint,
        "rows": snapshot.rows,
        "counts": dict(sorted(snapshot.counts.items())),
        "profile": snapshot.manifest["profile"],
        "parent": snapshot.parent,
        "code_version": code_version,
        "run_id": run_id,
        "created_at": created_at.astimezone(UTC).isoformat(),
    }
    (folder / "README.md").write_text(render_card(folder, metadata, row_files, repo), encoding="utf-8")
    licences = corpus.sql(
        "select distinct coalesce(licence, 'not stated') from samples join snapshot_rows using (sample_id) "
        "where name = ? and version = ?",
        [snapshot.name, snapshot.version],
    ).fetchall()
    _write_json(
        folder / "croissant.json", describe_croissant(metadata, row_files, repo, [name for (name,) in licences])
    )
    files = {
        str(path.relative_to(folder)): {"sha256": sha256_of(path), "bytes": path.stat().st_size}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    _write_json(folder / SNAPSHOT, {**metadata, "files": files})


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _check_target(repo: str, dry_run: Path | None) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UsageError(f"'{repo}' cannot name a Hub dataset: {error}") from error
    if "/" not in repo:
        raise UsageError(f"'{repo}' names no owner: use user/{repo}")
    if dry_run is not None and dry_run.exists() and (not dry_run.is_dir() or any(dry_run.iterdir())):
        raise OneThinkerError(f"{dry_run} is not an empty folder; name another, or empty it first")


def _as_json(policy: Policy) -> dict[str, Any]:
    return {**asdict(policy), "withheld_licences": sorted(policy.withheld_licences)}


def _key(snapshot: "Snapshot", repo: str, policy: Policy) -> str:
    return digest(snapshot.fingerprint, repo, _as_json(policy), LAYOUT)[:12]


def _summarize(snapshot: "Snapshot", repo: str, built: Path, **more: Any) -> PublishResult:
    sizes = [path.stat().st_size for path in built.rglob("*") if path.is_file()]
    return PublishResult(snapshot.ref, repo, f"v{snapshot.version}", len(sizes), sum(sizes), **more)
