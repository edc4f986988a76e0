"""Media: named by content, measured by decoding, and nothing that a bad file does stops anybody."""

import errno
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import fsspec
import numpy as np
import pytest
from PIL import Image

from corpus.media import MediaError, MediaStore, Medium, inside, probe, sha256_of
from corpus.media.pool import MediaPool
from tests.corpus.making import clip


def picture(path: Path, size=(64, 48), noise=True) -> Path:
    shade = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(shade if noise else shade * 0).save(path)
    return path


def cut(path: Path, share=0.5) -> Path:
    """The first part of a file's bytes, as an interrupted download leaves it."""
    whole = path.read_bytes()
    short = path.with_stem(path.stem + "_cut")
    short.write_bytes(whole[: int(len(whole) * share)])
    return short


def test_a_medium_is_stored_once_under_the_hash_of_its_bytes(tmp_path):
    store = MediaStore(tmp_path / "media")
    first = store.add(picture(tmp_path / "a.png"))
    again = store.add(shutil.copy(tmp_path / "a.png", tmp_path / "b.png"))
    sha256 = sha256_of(tmp_path / "a.png")
    assert first == again == Medium("image", sha256, 64, 48)
    assert store.path(sha256) == tmp_path / "media" / sha256[:2] / sha256
    assert store.path(sha256).read_bytes() == (tmp_path / "a.png").read_bytes()
    assert sum(path.is_file() for path in (tmp_path / "media").rglob("*")) == 1
    assert sha256 in store


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.mp4", "a.webm", "a.avi"])
def test_a_file_cut_in_half_is_unreadable(tmp_path, name):
    codec = {"a.webm": "libvpx-vp9", "a.avi": "mpeg4"}.get(name, "libx264")
    whole = picture(tmp_path / name) if name[2:] in ("jpg", "png") else clip(tmp_path / name, codec)
    probe(whole)
    with pytest.raises(MediaError, match="media_unreadable"):
        probe(cut(whole))


@pytest.mark.parametrize("kind", ["image", "video", None])
@pytest.mark.parametrize("content", [b"", b"not a picture at all", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_medium_is_unreadable_and_not_stored(tmp_path, kind, content):
    (tmp_path / "x").write_bytes(content)
    store = MediaStore(tmp_path / "media")
    with pytest.raises(MediaError, match="media_unreadable"):
        store.add(tmp_path / "x", kind)
    assert not (tmp_path / "media").exists()


def test_a_sound_file_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.wav"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), dtype=np.int16), format="s16", layout="mono")
        samples.sample_rate = 8000
        out.mux(stream.encode(samples))
    with pytest.raises(MediaError, match="no video stream"):
        probe(tmp_path / "a.wav", "video")


def test_a_copy_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(28, "No space left on device")

    store = MediaStore(tmp_path / "media")
    monkeypatch.setattr("corpus.media.store.shutil.copyfileobj", fails)
    with pytest.raises(OSError, match="No space left"):
        store.add(picture(tmp_path / "a.png"))
    assert not [path for path in (tmp_path / "media").rglob("*") if path.is_file()]


def test_a_file_that_changes_while_it_is_copied_is_not_kept_under_the_old_name(tmp_path, monkeypatch):
    store = MediaStore(tmp_path / "media")
    monkeypatch.setattr("corpus.media.store.shutil.copyfileobj", lambda source, copy, _: copy.write(b"other bytes"))
    with pytest.raises(MediaError, match="changed while it was read"):
        store.add(picture(tmp_path / "a.png"))
    assert not [path for path in (tmp_path / "media").rglob("*") if path.is_file()]


def test_what_a_killed_copy_left_is_swept_when_it_is_old(tmp_path):
    store = MediaStore(tmp_path)
    (tmp_path / ".incoming").mkdir()
    for name, age_s in (("old", 7200), ("young", 60)):
        (tmp_path / ".incoming" / name).write_bytes(b"half")
        os.utime(tmp_path / ".incoming" / name, (time.time() - age_s,) * 2)
    assert store.sweep() == 1
    assert [path.name for path in (tmp_path / ".incoming").iterdir()] == ["young"]


def test_a_store_can_be_a_bucket(tmp_path):
    store = MediaStore("memory://bucket/media")
    medium = store.add(picture(tmp_path / "a.png"))
    names = fsspec.filesystem("memory").find("/bucket/media")
    assert names == [f"/bucket/media/{medium.sha256[:2]}/{medium.sha256}"]
    assert store.path(medium.sha256).read_bytes() == (tmp_path / "a.png").read_bytes()


def test_what_the_store_lacks_is_missing_and_what_is_no_hash_is_refused(tmp_path):
    store = MediaStore(tmp_path)
    with pytest.raises(MediaError, match="media_missing"):
        store.path("0" * 64)
    with pytest.raises(ValueError, match="not a SHA-256"):
        store.path("../../etc/passwd")
    with pytest.raises(MediaError, match="media_missing"):
        store.add(tmp_path / "nowhere.png")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a.png", None),
        ("./a.png", None),
        ("folder/../a.png", None),
        ("link_inside", None),
        ("/etc/passwd", "media_outside_root"),
        ("~/a.png", "media_outside_root"),
        ("../secret.png", "media_outside_root"),
        ("folder/../../secret.png", "media_outside_root"),
        ("link_outside", "media_outside_root"),
        ("folder_outside/secret.png", "media_outside_root"),
        ("no.png", "media_missing"),
        ("folder", "media_missing"),
        ("", "media_missing"),
        ("a\0.png", "media_missing"),
        ("x" * 5000, "media_missing"),
        ("link_loop", "media_missing"),
        ("pipe", "media_missing"),
    ],
)
def test_a_path_stays_inside_the_media_root(tmp_path, path, reason):
    root = tmp_path.resolve() / "root"
    (root / "folder").mkdir(parents=True)
    picture(root / "a.png")
    picture(tmp_path / "secret.png")
    (root / "link_inside").symlink_to(root / "a.png")
    (root / "link_outside").symlink_to(tmp_path / "secret.png")
    (root / "folder_outside").symlink_to(tmp_path)
    (root / "link_loop").symlink_to(root / "link_loop")
    os.mkfifo(root / "pipe")
    if reason is None:
        assert inside(root, path) == root / "a.png"
    else:
        with pytest.raises(MediaError) as caught:
            inside(root, path)
        assert caught.value.reason == reason


# -- the pool ----------------------------------------------------------------------------------------------------------


def test_the_pool_stores_good_media_and_names_what_is_wrong_with_bad(tmp_path):
    good, bad = picture(tmp_path / "a.jpg"), cut(picture(tmp_path / "b.jpg", size=(200, 200)))
    store = MediaStore(tmp_path / "media")
    with MediaPool(store, workers=1) as pool:
        for path in (good, bad):
            pool.submit(path, "image")
        assert pool.outcome(good, "image") == probe(good)
        assert pool.outcome(bad, "image").reason == "media_unreadable"
        assert pool.outcome(tmp_path / "no.jpg", "image").reason == "media_missing"
    assert sha256_of(good) in store
    assert sha256_of(bad) not in store


def wait_for_reader(pipe: Path) -> int:
    """Wait until a process has opened a pipe to read from it, and open its other end, so that the process hangs on."""
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            time.sleep(0.02)


def test_a_decoder_that_hangs_or_dies_costs_its_own_medium_only(tmp_path):
    """A pipe without a writer hangs its reader, as some files hang decoders."""
    os.mkfifo(tmp_path / "hangs.mp4")
    os.mkfifo(tmp_path / "dies.mp4")
    good = picture(tmp_path / "a.png")
    with MediaPool(None, workers=1, timeout_s=5) as pool:
        assert pool.outcome(tmp_path / "hangs.mp4", "video").reason == "media_timeout"
        assert pool.outcome(good, "image").width == 64
    with MediaPool(None, workers=1, timeout_s=600) as pool:
        pool.submit(tmp_path / "dies.mp4", "video")
        pipe = wait_for_reader(tmp_path / "dies.mp4")
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGKILL)
        died = pool.outcome(tmp_path / "dies.mp4", "video")
        os.close(pipe)
        assert (died.reason, "crashed" in died.detail) == ("media_unreadable", True)


def test_what_was_measured_is_not_measured_again_until_it_changes(tmp_path):
    path, store = picture(tmp_path / "a.png"), MediaStore(tmp_path / "media")
    known = tmp_path / "known.sqlite"
    with MediaPool(store, known=known, workers=1) as pool:
        first = pool.outcome(path, "image")
    with MediaPool(store, known=known, workers=1) as pool:
        assert pool.outcome(path, "image") == first
        assert pool._pool is None, "no worker was needed"
    picture(path, size=(32, 32))
    with MediaPool(store, known=known, workers=1) as pool:
        assert pool.outcome(path, "image").width == 32
    shutil.rmtree(tmp_path / "media")
    with MediaPool(store, known=known, workers=1) as pool:
        assert pool.outcome(path, "image").sha256 in store, "known, but its bytes were gone"


def test_workers_end_with_their_parent_even_inside_a_hanging_decoder(tmp_path):
    os.mkfifo(tmp_path / "hangs.mp4")
    script = f"""
import multiprocessing, os
from pathlib import Path
from corpus.media.pool import MediaPool
from tests.corpus.test_media import wait_for_reader
if __name__ == "__main__":
    pool = MediaPool(None, workers=1, timeout_s=600)
    pool.submit({str(tmp_path / "hangs.mp4")!r}, "video")
    wait_for_reader(Path({str(tmp_path / "hangs.mp4")!r}))
    print(multiprocessing.active_children()[0].pid, flush=True)
    os.kill(os.getpid(), 9)
"""
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True)
    worker = int(ran.stdout)
    for _ in range(1200):
        if not alive(worker):
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlived its parent by two minutes")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
