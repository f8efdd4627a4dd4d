import hashlib
import io
import json
import multiprocessing
import os
import shutil
import signal
import stat
import threading
import urllib.request
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("av")
pytest.importorskip("opensmile")

from corpora import EMODB, RAVDESS_LANDMARKS, RAVDESS_SOUND

from lgrin.datasets import RAVDESS, EmoDB
from lgrin.datasets import download as module
from lgrin.datasets.download import RemoteFile, download, unpack, zenodo_files
from lgrin.datasets.emodb import RECORD as EMODB_RECORD
from lgrin.datasets.ravdess import RECORDINGS, TRACKING
from lgrin.features import OpenFace, Speech

CONTENT = os.urandom(500_000)
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
QUIET = {"workers": 1, "progress": False}


class Host:
    """A public host on the loopback address, with its faults."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []  # names, and which bytes of them
        self.breaks: dict[str, int] = {}  # after how many bytes the connection breaks off, once
        self.knows_ranges = True
        self.chunked = False

    def start(self):
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                host.answer(self)
                self.close_connection = True

            def log_message(self, *_):
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request):
        name, wanted = request.path.removeprefix("/"), request.headers["Range"]
        self.asked.append((name, wanted))
        content = self.files.get(name)
        if content is None:
            request.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.knows_ranges else 0
        if start >= len(content):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        request.send_header(
            *(("Transfer-Encoding", "chunked") if self.chunked else ("Content-Length", len(content) - start))
        )
        request.end_headers()
        body = content[start : self.breaks.pop(name, len(content))]
        if self.chunked:
            body = b"%x\r\n" % (len(content) - start) + body
        request.wfile.write(body)

    def publish(self, record, archives):
        """Puts the archives of a record on the host."""
        files = [
            {
                "key": name,
                "size": len(content),
                "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
                "links": {"self": f"{self.url}/{name}"},
            }
            for name, content in archives.items()
        ]
        self.files |= {f"api/{record}": json.dumps({"files": files}).encode(), **archives}

    def fetched(self):
        """The archives that were asked for since the last time."""
        names = [name for name, _ in self.asked if not name.startswith("api/")]
        self.asked.clear()
        return names


@pytest.fixture
def host(monkeypatch):
    host = Host()
    host.start()
    host.files["file.bin"] = CONTENT
    monkeypatch.setattr(module, "ZENODO", f"{host.url}/api")
    yield host
    host.http.shutdown()
    host.http.server_close()


@pytest.fixture
def file(host):
    return RemoteFile(f"{host.url}/file.bin", len(CONTENT), MD5)


@contextmanager
def full_disk(size):
    """No file can grow beyond so many bytes."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_file_arrives_whole_and_is_not_fetched_twice(tmp_path, host, file):
    path = download(file, tmp_path / "new" / "file.bin", progress=False)
    assert path.read_bytes() == CONTENT
    assert files(tmp_path) == ["new/file.bin"]
    download(file, path, progress=False)
    assert host.asked == [("file.bin", None)]
    path.write_bytes(CONTENT[:-1] + b"x" if CONTENT[-1:] != b"x" else CONTENT[:-1] + b"y")
    with pytest.raises(ValueError, match="deleted: try again"):
        download(file, path, progress=False)
    assert download(file, path, progress=False).read_bytes() == CONTENT


@pytest.mark.parametrize("chunked", [False, True])
def test_a_download_that_broke_off_goes_on_from_there(tmp_path, host, file, chunked):
    host.breaks["file.bin"], host.chunked = 200_000, chunked
    with pytest.raises(OSError, match=r"file\.bin broke off .*; try again to go on"):
        download(file, tmp_path / "file.bin", progress=False)
    assert files(tmp_path) == ["file.bin.part"]
    arrived = (tmp_path / "file.bin.part").read_bytes()
    assert arrived == CONTENT[: len(arrived)]
    host.chunked = False
    assert download(file, tmp_path / "file.bin", progress=False).read_bytes() == CONTENT
    assert files(tmp_path) == ["file.bin"]
    expected = None if chunked else "bytes=200000-"  # what a broken chunk held is lost
    assert host.asked == [("file.bin", None), ("file.bin", expected)]


def test_a_host_without_ranges_sends_everything_again(tmp_path, host, file):
    host.breaks["file.bin"], host.knows_ranges = 200_000, False
    with pytest.raises(ConnectionError, match="broke off at 200000 of 500000 bytes"):
        download(file, tmp_path / "file.bin", progress=False)
    assert download(file, tmp_path / "file.bin", progress=False).read_bytes() == CONTENT
    assert host.asked[-1] == ("file.bin", "bytes=200000-")


def test_wrong_content_is_deleted(tmp_path, host, file):
    with pytest.raises(ValueError, match=rf"file\.bin has 500000 bytes and {MD5}, not 500000 and md5:0+; deleted"):
        download(file._replace(checksum="md5:" + 32 * "0"), tmp_path / "file.bin", progress=False)
    assert files(tmp_path) == []
    (tmp_path / "file.bin.part").write_bytes(b"something else")
    with pytest.raises(ValueError, match="deleted: try again"):
        download(file, tmp_path / "file.bin", progress=False)
    (tmp_path / "file.bin.part").write_bytes(bytes(600_000))
    assert download(file, tmp_path / "file.bin", progress=False).read_bytes() == CONTENT


def test_a_file_of_another_size_never_takes_its_place(tmp_path, host, file):
    longer, shorter = (file._replace(size=size) for size in (400_000, 600_000))
    with pytest.raises(OSError, match="broke off at 500000 of 600000 bytes"):
        download(shorter, tmp_path / "file.bin", progress=False)
    with pytest.raises(OSError, match="416"):
        download(shorter, tmp_path / "file.bin", progress=False)
    assert files(tmp_path) == ["file.bin.part"]
    (tmp_path / "file.bin.part").unlink()
    with pytest.raises(ValueError, match=r"has 500000 bytes and .*, not 400000"):
        download(longer, tmp_path / "file.bin", progress=False)
    assert files(tmp_path) == []


def test_what_is_not_there_is_an_error(tmp_path, host, file):
    with pytest.raises(OSError, match="404"):
        download(file._replace(url=f"{host.url}/gone.bin"), tmp_path / "file.bin", progress=False)
    with pytest.raises(OSError, match="404"):
        zenodo_files(7)
    assert files(tmp_path) == []


def test_a_disk_that_is_too_small_is_told_before(tmp_path, host, file, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=400_000))
    with pytest.raises(OSError, match=r"has 0\.0 GB free, and .*file\.bin needs 0\.0 GB more"):
        download(file, tmp_path / "file.bin", progress=False)
    assert host.asked == []
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:100_000])
    assert download(file, tmp_path / "file.bin", progress=False).read_bytes() == CONTENT


def test_a_disk_that_fills_up_leaves_a_part_that_the_next_call_completes(tmp_path, host, file):
    with full_disk(300_000), pytest.raises(OSError, match="File too large"):
        download(file, tmp_path / "file.bin", progress=False)
    assert files(tmp_path) == ["file.bin.part"]
    arrived = (tmp_path / "file.bin.part").stat().st_size
    assert 0 < arrived <= 300_000
    assert download(file, tmp_path / "file.bin", progress=False).read_bytes() == CONTENT
    assert host.asked[-1] == ("file.bin", f"bytes={arrived}-")


def test_an_archive_is_unpacked_whole_and_replaces_what_is_there(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped(**{"wav/a.wav": b"new", "wav/b.wav": b"b", "./c.wav": b"c", "d/": b""}))
    (tmp_path / "to" / "wav").mkdir(parents=True)
    (tmp_path / "to" / "wav" / "a.wav").write_bytes(b"old")
    (tmp_path / "to" / ".unpack-a.zip").mkdir()
    (tmp_path / "to" / ".unpack-a.zip" / "left.wav").write_bytes(b"of a run that was killed")
    unpack(tmp_path / "a.zip", tmp_path / "to")
    assert files(tmp_path / "to") == ["c.wav", "wav/a.wav", "wav/b.wav"]
    assert (tmp_path / "to" / "wav" / "a.wav").read_bytes() == b"new"


@pytest.mark.parametrize(
    "name",
    ["../out.txt", "in/../../out.txt", "/out.txt", "C:\\out.txt", "C:out.txt", "..\\out.txt", "\\\\host\\out.txt"],
)
def test_members_that_point_outside_are_refused_with_everything_else(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(zipped(**{"good.txt": b"good", name: b"bad"}))
    with pytest.raises(ValueError, match=r"a\.zip holds '.*out\.txt', which lies outside of the folder"):
        unpack(tmp_path / "a.zip", tmp_path / "to")
    assert files(tmp_path) == ["a.zip"]


def test_links_are_refused_with_everything_else(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good.txt", "good")
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match=r"a\.zip holds 'link', which is a link; corpora have none"):
        unpack(tmp_path / "a.zip", tmp_path / "to")
    assert files(tmp_path) == ["a.zip"]


def damaged_archives():
    whole = zipped(**{"a.txt": b"a" * 50, "b.bin": CONTENT[:50_000]})
    middle = len(whole) // 2
    compressed = zipped(text=bytes(range(256)) * 400)
    return {
        "no archive": b"this is no archive",
        "cut short": whole[:middle],
        "a byte": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "its compression": compressed[:40] + bytes(60) + compressed[100:],
        "empty": b"",
    }


@pytest.mark.parametrize("kind", damaged_archives())
def test_a_damaged_archive_is_named_and_nothing_of_it_unpacked(tmp_path, kind):
    (tmp_path / "a.zip").write_bytes(damaged_archives()[kind])
    with pytest.raises(ValueError, match=r"a\.zip is damaged \(.*\); delete it and fetch it again"):
        unpack(tmp_path / "a.zip", tmp_path / "to")
    assert files(tmp_path) == ["a.zip"]


def test_a_file_in_the_place_of_a_folder_stops_everything_before_anything_is_moved(tmp_path):
    archive, to = tmp_path / "a.zip", tmp_path / "to"
    (to / "b").mkdir(parents=True)
    archive.write_bytes(zipped(**{"a.txt": b"a", "b": b"b", "c.txt": b"c"}))
    with pytest.raises(
        ValueError, match=r"a\.zip holds 'b', a file, but .*/b is a folder; move that away, or unpack to"
    ):
        unpack(archive, to)
    archive.write_bytes(zipped(**{"a.txt": b"a", "file/b.txt": b"b"}))
    (to / "file").write_text("mine")
    with pytest.raises(ValueError, match=r"a\.zip holds 'file', a folder, but .*/file is a file"):
        unpack(archive, to)
    assert sorted(path.name for path in to.iterdir()) == ["b", "file"]
    assert (to / "file").read_text() == "mine"


def test_an_archive_at_odds_with_itself_is_damaged(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped(**{"a": b"a", "a/b.txt": b"b"}))
    with pytest.raises(ValueError, match=r"a\.zip is damaged \(.*\); delete it and fetch it again"):
        unpack(tmp_path / "a.zip", tmp_path / "to")
    assert files(tmp_path) == ["a.zip"]


def test_an_archive_may_have_any_name(tmp_path):
    name = 246 * "a" + ".zip"
    (tmp_path / name).write_bytes(zipped(**{"a.txt": b"a"}))
    unpack(tmp_path / name, tmp_path / "to")
    assert files(tmp_path / "to") == ["a.txt"]


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"{}", b'{"files": [{}]}', b"[" * 100_000 + b"]" * 100_000])
def test_a_host_that_answers_no_record_is_named(monkeypatch, answer):
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(answer))
    with pytest.raises(OSError, match="records/7 sent no record"):
        zenodo_files(7)


def test_a_disk_that_fills_up_while_unpacking_leaves_nothing(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped(**{"a.txt": b"a", "b.bin": bytes(500_000)}))
    with full_disk(300_000), pytest.raises(OSError, match="File too large"):
        unpack(tmp_path / "a.zip", tmp_path / "to")
    assert files(tmp_path) == ["a.zip"]


def archive_of(corpus, folder, choose=lambda name: True, **others):
    """The recordings of a miniature corpus, and what else there is, in one archive."""
    corpus.make(folder)
    return zipped(**{name: (folder / name).read_bytes() for name in corpus.recordings if choose(name)}, **others)


@pytest.fixture
def emodb(host, tmp_path):
    host.publish(EMODB_RECORD, {"emodb.zip": archive_of(EMODB, tmp_path / "source", **{"readme.txt": bytes(500_000)})})
    return tmp_path / "emodb"


@pytest.fixture
def ravdess(host, tmp_path):
    def part(corpus, channel):
        return archive_of(corpus, tmp_path / "source", lambda name: f"/03-{channel}-" in name)

    sound = {f"Audio_{kind}_Actors_01-24.zip": part(RAVDESS_SOUND, n) for kind, n in (("Song", "02"), ("Speech", "01"))}
    host.publish(RECORDINGS, {**sound, "Video_Song_Actor_01.zip": b"of 24 GB"})
    landmarks = archive_of(RAVDESS_LANDMARKS, tmp_path / "landmarks")
    host.publish(TRACKING, {"FacialTracking.zip": landmarks, "readme.txt": b"Landmarks"})
    return tmp_path / "ravdess"


def names(dataset):
    return {data.name for data in dataset}


def test_emodb_fetches_itself_once(host, emodb):
    dataset = EmoDB(emodb, **QUIET)
    assert names(dataset) == set(EMODB.recordings)
    assert host.fetched() == ["emodb.zip"]
    assert len(EmoDB(emodb, **QUIET)) == len(dataset)
    assert host.asked == [], "a corpus that is there asks nobody"
    assert not list(emodb.glob(".*"))


def test_ravdess_fetches_what_the_features_read(host, ravdess):
    assert names(RAVDESS(ravdess, Speech(), channel="song", **QUIET)) == {"Actor_01/03-02-04-01-02-01-01.wav"}
    assert host.fetched() == ["Audio_Song_Actors_01-24.zip"]
    assert names(RAVDESS(ravdess, OpenFace(), **QUIET)) == set(RAVDESS_LANDMARKS.recordings)
    assert host.fetched() == ["FacialTracking.zip"]
    assert len(RAVDESS(ravdess, Speech(), channel="speech", **QUIET)) == 2
    assert host.fetched() == ["Audio_Speech_Actors_01-24.zip"]
    assert names(RAVDESS(ravdess, Speech(), **QUIET)) == set(RAVDESS_SOUND.recordings)
    assert host.asked == []


def test_what_was_fetched_in_part_is_not_taken_for_whole(host, ravdess):
    host.breaks["Audio_Speech_Actors_01-24.zip"] = 1000
    with pytest.raises(OSError, match=r"RAVDESS is incomplete in .*, and fetching it failed: .*broke off at 1000 of"):
        RAVDESS(ravdess, Speech(), **QUIET)
    assert host.fetched() == ["Audio_Song_Actors_01-24.zip", "Audio_Speech_Actors_01-24.zip"]
    assert len(list(ravdess.rglob("03-*.wav"))) == 1
    assert len(RAVDESS(ravdess, OpenFace(), **QUIET)) == 3
    assert len(RAVDESS(ravdess, Speech(), channel="song", **QUIET)) == 1
    assert host.fetched() == ["FacialTracking.zip"]
    whole = RAVDESS(ravdess, Speech(), **QUIET)
    assert names(whole) == set(RAVDESS_SOUND.recordings)
    assert [entry for entry in host.asked if "zip" in entry[0]] == [("Audio_Speech_Actors_01-24.zip", "bytes=1000-")]
    assert not list(ravdess.glob(".*"))


def test_a_run_that_is_killed_while_it_unpacks_is_taken_up_again(host, emodb):
    def die():
        module._move = move_one_and_die
        EmoDB(emodb, **QUIET)

    def move_one_and_die(source, target):
        path = next(source.rglob("*.wav"))
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True)
        path.replace(place)
        os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=die)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(list(emodb.glob("wav/*.wav"))) == 1
    assert host.fetched() == ["emodb.zip"]
    assert names(EmoDB(emodb, **QUIET)) == set(EMODB.recordings)
    assert host.fetched() == [], "the archive had arrived"
    assert not list(emodb.glob(".*"))


@pytest.mark.parametrize("size", [2_000, 100_000])
def test_a_disk_that_fills_up_is_no_corpus(host, emodb, size):
    with (
        full_disk(size),
        pytest.raises(OSError, match=r"EmoDB is incomplete in .*, and fetching it failed: .*too large"),
    ):
        EmoDB(emodb, **QUIET)
    assert not list(emodb.rglob("*.wav"))
    assert names(EmoDB(emodb, **QUIET)) == set(EMODB.recordings)


def test_a_corpus_that_was_deleted_after_its_download_is_fetched_anew(host, emodb):
    assert len(EmoDB(emodb, **QUIET)) == 7
    shutil.rmtree(emodb)
    pending = emodb / ".download-corpus"
    pending.mkdir(parents=True)
    (pending / "emodb.zip.done").touch()  # a run was killed as it cleared away
    assert len(EmoDB(emodb, **QUIET)) == 7
    assert host.fetched() == ["emodb.zip", "emodb.zip"]


def test_an_archive_with_wrong_content_is_no_corpus(host, emodb):
    archive = host.files["emodb.zip"]
    host.files["emodb.zip"] = bytes(len(archive))
    with pytest.raises(ValueError, match=r"emodb\.zip has .* bytes and md5:.*, not .*; deleted: try again"):
        EmoDB(emodb, **QUIET)
    host.files["emodb.zip"] = archive
    assert len(EmoDB(emodb, **QUIET)) == 7
