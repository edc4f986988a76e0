"""A stream gives every row once: over ranks and workers, in an order of its seed, going on at the very row."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus import UsageError
from corpus.chat import message_column, messages
from corpus.snapshots import Snapshot, streaming
from tests.corpus.making import frozen, small_corpus

ROWS = 30


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return frozen(small_corpus(tmp_path_factory.mktemp("streamed"), rows=ROWS), rows_per_group=7)


def ids(rows: Any) -> list[str]:
    return [row["sample_id"] for row in rows]


def test_unshuffled_it_is_the_dataset(snapshot: Snapshot) -> None:
    stream = snapshot.stream()
    assert stream.features == snapshot.dataset().features
    for row, same in zip(stream, snapshot.dataset(), strict=True):
        assert row == same


def test_images_and_videos_mix_in_one_batch(snapshot: Snapshot) -> None:
    batch = next(iter(snapshot.stream(seed=3).batch(ROWS)))
    assert Counter(map(len, batch["images"])) == Counter(map(len, batch["videos"])) == {0: ROWS // 2, 1: ROWS // 2}
    assert {image.size[1] for images in batch["images"] for image in images} == {30}


def test_seed_and_epoch_make_the_order_and_nothing_else_does(snapshot: Snapshot) -> None:
    one = ids(snapshot.stream(seed=1))
    assert one == ids(snapshot.stream(seed=1)) != ids(snapshot.stream(seed=2))
    assert one != ids(snapshot.stream(seed=1, epoch=1))
    assert sorted(one) == sorted(ids(snapshot.dataset()))
    # The first rows come from all over the snapshot, not from its first row group.
    places = {sample_id: i for i, sample_id in enumerate(ids(snapshot.dataset()))}
    assert max(places[i] for i in one[:7]) > 14


@pytest.mark.parametrize("ranks", [1, 2, 4, 7, ROWS + 3])
@pytest.mark.parametrize("seed", [None, 5])
def test_ranks_share_the_rows_evenly(snapshot: Snapshot, ranks: int, seed: int | None) -> None:
    shares = [ids(snapshot.stream((rank, ranks), seed=seed)) for rank in range(ranks)]
    assert sorted(i for share in shares for i in share) == sorted(ids(snapshot.dataset()))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_workers_share_a_ranks_rows(snapshot: Snapshot) -> None:
    stream = snapshot.stream((1, 2), seed=5)
    assert stream.num_shards > 8
    shares = [ids(stream.shard(4, worker)) for worker in range(4)]
    assert sorted(i for share in shares for i in share) == sorted(ids(stream))


@settings(max_examples=settings.default.max_examples // 3)  # each reads a snapshot again
@given(seen=st.integers(0, ROWS - 1), seed=st.sampled_from([None, 8]))
def test_it_goes_on_at_the_very_row(snapshot: Snapshot, seen: int, seed: int | None) -> None:
    whole = ids(snapshot.stream(seed=seed))
    stream = snapshot.stream(seed=seed)
    rows = iter(stream)
    for _ in range(seen):
        next(rows)
    state = json.loads(json.dumps(stream.state_dict()))  # as a checkpoint would keep it
    again = snapshot.stream(seed=seed)
    again.load_state_dict(state)
    assert ids(again) == whole[seen:]


def test_going_on_reads_its_window_and_not_the_ones_before(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "GROUPS_PER_WINDOW", 1)
    monkeypatch.setattr(streaming, "PIECES", 1)
    monkeypatch.setattr(streaming, "ROWS_AT_ONCE", 1)  # `datasets` looks one batch ahead
    stream = snapshot.stream(seed=1)
    rows = iter(stream)
    for _ in range(20):
        next(rows)
    streaming._read_window.cache_clear()
    again = snapshot.stream(seed=1)
    again.load_state_dict(stream.state_dict())
    next(iter(again))
    assert streaming._read_window.cache_info().misses == 1  # of five windows


def test_an_impossible_shard_is_refused(snapshot: Snapshot) -> None:
    with pytest.raises(UsageError, match=r"the first of n is \(0, n\)"):
        snapshot.stream((2, 2))


@pytest.mark.parametrize("read", ["dataset", "stream"])
def test_each_image_is_decoded_once_and_none_before_its_row(
    snapshot: Snapshot, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = Counter[str]()
    decode = datasets.Image.decode_example

    def counted(self: datasets.Image, value: dict[str, Any], *more: Any) -> Any:
        decoded[value["path"]] += 1
        return decode(self, value, *more)

    monkeypatch.setattr(datasets.Image, "decode_example", counted)
    rows = getattr(snapshot, read)()
    assert not decoded
    assert sum(len(row["images"]) for row in rows) == ROWS // 2
    assert set(decoded.values()) == {1}
    assert str(rows.features["images"].feature._type) == "Image"


PIECES = ["<image>", "<video>", "why ", "\n", "x < y", "é"]


@given(st.lists(st.tuples(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), st.none() | st.text(max_size=9))))
def test_messages_made_by_the_thousand_equal_those_made_one_by_one(rows: list[tuple[str, str | None]]) -> None:
    rows = [(prompt or "?", response) for prompt, response in rows]
    made = message_column(pa.array([p for p, _ in rows], pa.string()), pa.array([r for _, r in rows], pa.string()))
    assert made.to_pylist() == [messages(prompt, response, []) for prompt, response in rows]


def test_a_missing_medium_is_named_when_it_is_decoded(tmp_path: Path) -> None:
    corpus = small_corpus(tmp_path)
    made = frozen(corpus)
    image = next(
        m["sha256"] for b in made.batches(["media"]) for (m,) in b["media"].to_pylist() if m["kind"] == "image"
    )
    corpus.media.path(image).unlink()
    with pytest.raises(FileNotFoundError, match=image):
        list(made.stream())
