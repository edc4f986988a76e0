"""WebDataset: tar files of rows, media and JSON side by side, for reading from one end to the other.

NAME-mp4-000000.tar holds 00000012.json and 00000012.0.mp4 for the row at position 12: all rows of a tar have media of
the same kinds, which `load_dataset("webdataset")` requires and the `webdataset` library accepts. The JSON is the
frozen row. The same snapshot gives the same bytes.
"""

import io
import tarfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson

from corpus.exports._media import iter_rows
from corpus.snapshots import Snapshot, row_format

TAR_BYTES = 1_000_000_000


def export(snapshot: Snapshot, out: Path) -> dict[str, int]:
    """Write the tar files into `out`; returns the number of rows in each."""
    counts: Counter[str] = Counter()
    columns = [name for name in row_format.schema().names if name != "media"]
    with ExitStack() as stack:
        tars: dict[str, tuple[str, tarfile.TarFile]] = {}
        sizes: Counter[str] = Counter()
        numbers: Counter[str] = Counter()
        for _, row in iter_rows(snapshot, out, columns):
            paths = row.pop("paths")
            series = "-".join(Path(path).suffix.lstrip(".") or "bin" for path in paths) or "text"
            members = _tar_members(row, paths, out)
            size = sum(len(content) for _, content in members)
            if series in tars and sizes[series] + size > TAR_BYTES:
                tars.pop(series)[1].close()
                numbers[series] += 1
            if series not in tars:
                name = f"{snapshot.name}-{series}-{numbers[series]:06d}.tar"
                tars[series] = (name, stack.enter_context(tarfile.open(out / name, "w", format=tarfile.PAX_FORMAT)))
                sizes[series] = 0
            name, tar = tars[series]
            for member, content in members:
                info = tarfile.TarInfo(member)  # no time, no owner
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            sizes[series] += size
            counts[name] += 1
    for path in (out / "media").iterdir():  # only links; the bytes are in the tars
        path.unlink()
    (out / "media").rmdir()
    return dict(counts)


def _tar_members(row: dict[str, Any], paths: list[str], out: Path) -> list[tuple[str, bytes]]:
    key = f"{row['position']:08d}"
    columns = {name: value for name, value in row.items() if name not in ("images", "videos")}
    columns["components"] = {pair["key"]: pair["value"] for pair in columns["components"] or []}
    content = orjson.dumps(columns, default=str)
    return [
        (f"{key}.json", content),
        *((f"{key}.{i}{Path(path).suffix}", (out / path).read_bytes()) for i, path in enumerate(paths)),
    ]
