"""One dataset repository on the Hub, through huggingface_hub: read a file, upload one commit, download one revision.

huggingface_hub finds the Hub and the token itself (HF_ENDPOINT, HF_TOKEN, `hf auth login`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from corpus.errors import OneThinkerError, near

# What a publication writes and may therefore remove; other files in the repository stay.
OURS = ("README.md", "croissant.json", "snapshot.json", "recipe.yaml", "data/", "media/", "provenance/")


class Remote:
    """The dataset repository `repo`, at the tag of one version."""

    def __init__(self, repo: str, tag: str) -> None:
        self.repo, self.tag = repo, tag
        self._api = HfApi()

    def read(self, name: str) -> bytes | None:
        """The file `name` at the tag; None if the repository, the tag or the file does not exist."""
        with _translate_errors(self.repo):
            try:
                path = self._api.hf_hub_download(self.repo, name, repo_type="dataset", revision=self.tag)
            except LocalEntryNotFoundError:  # the Hub was not reached
                raise
            except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError):
                return None
        return Path(path).read_bytes()

    def list_sizes(self) -> dict[str, int]:
        """The bytes of every file at the tag. Raises OneThinkerError if the repository or the tag does not exist."""
        with _translate_errors(self.repo), self._naming_tags():
            tree = self._api.list_repo_tree(self.repo, recursive=True, repo_type="dataset", revision=self.tag)
            return {entry.path: entry.size for entry in tree if isinstance(entry, RepoFile)}

    def get_commit(self) -> str | None:
        """The commit that the tag names."""
        with _translate_errors(self.repo):
            return self._api.dataset_info(self.repo, revision=self.tag).sha

    def upload(self, folder: Path, message: str, *, private: bool) -> str:
        """Make the repository hold the files of `folder`, in one commit, and tag it; returns the commit.

        Files that the Hub has by content are not sent again. Files of an earlier version that this one lacks are
        removed, others stay.
        """
        with _translate_errors(self.repo):
            self._api.create_repo(self.repo, repo_type="dataset", private=private, exist_ok=True)
            paths = {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*")) if p.is_file()}
            there = self._api.list_repo_files(self.repo, repo_type="dataset")
            stale = sorted(name for name in there if name.startswith(OURS) and name not in paths)
            operations: list[Any] = [CommitOperationAdd(name, path) for name, path in paths.items()]
            operations += [CommitOperationDelete(name) for name in stale]
            commit = self._api.create_commit(self.repo, operations, commit_message=message, repo_type="dataset")
            self._api.create_tag(self.repo, tag=self.tag, revision=commit.oid, repo_type="dataset", exist_ok=True)
        return commit.oid

    def download(self, patterns: Sequence[str]) -> Path:
        """Download the files that match; files that the cache holds are not downloaded again."""
        with _translate_errors(self.repo), self._naming_tags():
            return Path(
                self._api.snapshot_download(
                    self.repo, repo_type="dataset", revision=self.tag, allow_patterns=list(patterns)
                )
            )

    @contextmanager
    def _naming_tags(self) -> Iterator[None]:
        try:
            yield
        except RevisionNotFoundError as error:
            tags = [tag.name for tag in self._api.list_repo_refs(self.repo, repo_type="dataset").tags]
            raise OneThinkerError(f"{self.repo} has no version '{self.tag}'{near(self.tag, tags)}") from error


@contextmanager
def _translate_errors(repo: str) -> Iterator[None]:
    """Raise the Hub's and the connection's errors as OneThinkerError, with what to do next."""
    import httpx2

    try:
        yield
    except RepositoryNotFoundError as error:
        raise OneThinkerError(
            f"the Hub shows no dataset '{repo}': a wrong name, or a private one and HF_TOKEN is not set"
        ) from error
    except LocalEntryNotFoundError as error:
        raise OneThinkerError(f"the Hub cannot be reached ({_root_cause(error)})") from error
    except LocalTokenNotFoundError as error:
        raise OneThinkerError("the Hub wants a token: set HF_TOKEN, or log in with `hf auth login`") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise OneThinkerError(
                f"the Hub refuses {repo} ({status}): set HF_TOKEN to a token that may write there"
            ) from error
        raise OneThinkerError(f"the Hub answered {status} for {repo}: {error.server_message or error}") from error
    except (httpx2.HTTPError, RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise  # a local file, not the connection
        raise OneThinkerError(
            f"the connection to the Hub broke ({_root_cause(error)}); the same command resumes the transfer"
        ) from error


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}".strip().rstrip(":")
