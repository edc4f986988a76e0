"""`onethinker publish`: upload a dataset version to the HF Hub."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from corpus import Corpus
from corpus.ranges import Range
from onethinker.options import DEFAULT_CORPUS, CorpusUrl
from onethinker.output_path import writable_folder


def publish(
    ref: str,
    repo: str,
    /,
    *,
    dry_run: Annotated[Path | None, Parameter(name="--dry-run", validator=writable_folder)] = None,
    private: bool = False,
    embed_mb: Annotated[float, Parameter(name="--embed-mb", validator=Range(0, 1e6))] = 16.0,
    withhold: Annotated[list[str] | None, Parameter(name="--withhold-licence")] = None,
    allow: Annotated[list[str] | None, Parameter(name="--allow")] = None,
    corpus: CorpusUrl = DEFAULT_CORPUS,
) -> None:
    """Publish a version as a dataset on the HF Hub: rows, media, card and provenance in one commit, tagged vV.

    After an interruption the same command continues. HF_ENDPOINT names the Hub, HF_TOKEN (or `hf auth login`) the
    account.

    Example: `onethinker publish demo@1 user/demo --dry-run publication --corpus demo/corpus`

    Parameters
    ----------
    ref
        NAME@V, or NAME for its newest version.
    repo
        The dataset on the Hub, as user/name; created if it does not exist.
    dry_run
        Write the repository into this new folder and upload nothing.
    private
        Create the repository as private.
    embed_mb
        Embed media of up to this many megabytes in their rows; larger ones become files.
    withhold
        Publish only the SHA-256 of media under this licence (`unknown`: none stated); repeatable.
    allow
        A harmless text; what looks like a secret or an absolute path and lies within it passes; repeatable.
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
