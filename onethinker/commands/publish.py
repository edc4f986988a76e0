"""`onethinker publish`: a dataset version on the HF Hub."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from corpus import Corpus
from onethinker.options import DEFAULT_CORPUS, CorpusUrl


def publish(
    ref: str,
    repo: str,
    /,
    *,
    dry_run: Annotated[Path | None, Parameter(name="--dry-run")] = None,
    private: bool = False,
    embed_mb: Annotated[float, Parameter(name="--embed-mb")] = 16.0,
    withhold: Annotated[list[str] | None, Parameter(name="--withhold-licence")] = None,
    allow: Annotated[list[str] | None, Parameter(name="--allow")] = None,
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Publish a version as a dataset on the HF Hub: rows, media, card and provenance in one commit, tagged vV.

    Stopped or cut off, the same command goes on from there. The Hub and who you are come from HF_ENDPOINT and
    HF_TOKEN (or `hf auth login`).

    Example: `onethinker publish demo@1 user/demo --dry-run publication`

    Parameters
    ----------
    ref
        NAME@V, or NAME for its newest version.
    repo
        The dataset on the Hub, as user/name; it is made where it is not there.
    dry_run
        Only write the repository into this new folder, and upload nothing.
    private
        Make the repository a private one, if it has to be made.
    embed_mb
        Media of up to so many megabytes lie inside their rows, larger ones beside them.
    withhold
        Do not publish media under this licence (`unknown`: none stated), only their SHA-256; may be given again.
    allow
        Text that looks like a secret or an absolute path and is harmless; may be given again.
    """
    from corpus.hub import Policy
    from corpus.hub import publish as run

    policy = Policy(embed_bytes=round(embed_mb * 1e6), withheld_licences=frozenset(withhold or []))
    with Corpus.open(corpus) as opened:
        done = run(opened, ref, repo, dry_run=dry_run, private=private, policy=policy, allow=allow or [])
    if done.folder:
        print(f"{done.snapshot}: {done.files:,} files, {done.bytes:,} bytes in {done.folder}; nothing was uploaded")
    elif done.changed:
        print(f"{done.snapshot}: {done.files:,} files, {done.bytes:,} bytes at {repo}, tag {done.tag}, {done.commit}")
    else:
        print(f"{done.snapshot}: {repo} has it already, tag {done.tag}, {done.commit}; nothing was changed")
