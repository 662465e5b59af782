import base64
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mouths import make_shards

from avsr_bench import data
from avsr_bench.data import Prepared, remote, transport
from avsr_bench.data.sources import without_secrets
from avsr_bench.records import Misused, Refused


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("data") / "small", {"train": 14, "valid": 3})


@pytest.fixture(scope="module")
def folder(corpus):
    return Path(corpus.location).parent


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(remote, "PAUSE", 0.001)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(transport, "TIMEOUT", 0.3)


def read_all(corpus, modality="video"):
    return list(data.examples(corpus, data.places(corpus, "train", modality), modality))


def assert_the_same(one, other):
    for near, far in zip(read_all(one), read_all(other), strict=True):
        assert near.key == far.key and (near.mouth == far.mouth).all()


def tars(server):
    return [(path, part) for path, part, _ in server.asked if path.endswith(".tar")]


def test_neighbours_come_with_one_request(corpus, folder):
    with web.serving(folder) as server:
        assert_the_same(corpus, Prepared(f"{server.url}/small/"))
        assert [path for path, _ in tars(server)] == [f"/small/train/train-00000{shard}.tar" for shard in range(3)]


def test_members_far_apart_are_asked_for_alone(corpus, folder, monkeypatch):
    monkeypatch.setattr(remote, "SKIPPED", 0)
    with web.serving(folder) as server:
        assert_the_same(corpus, Prepared(f"{server.url}/small"))
        wanted = sum(place.entry.members["mouth.mp4"].bytes for place in data.places(corpus, "train", "video"))
        parts = [part.removeprefix("bytes=").split("-") for _, part in tars(server)]
        assert len(parts) == 14 and sum(int(last) + 1 - int(first) for first, last in parts) == wanted


def test_without_ranges_a_shard_is_read_once_and_no_further_than_it_must(corpus, folder, monkeypatch):
    monkeypatch.setattr(remote, "SKIPPED", 0)
    with web.serving(folder, web.no_ranges) as server:
        assert_the_same(corpus, Prepared(f"{server.url}/small"))
        assert len(tars(server)) == 3


def test_content_in_chunks_of_any_size(corpus, folder):
    with web.serving(folder, web.in_chunks) as server:
        assert_the_same(corpus, Prepared(f"{server.url}/small"))


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers")
    (folder / "file").write_bytes(bytes(k * k % 251 for k in range(5000)))
    with web.serving(folder) as good, web.serving(folder, web.no_ranges) as bad:
        yield (folder / "file").read_bytes(), good.url, bad.url


@given(cuts=st.lists(st.integers(0, 5000), max_size=12), skipped=st.integers(0, 600), ranges=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_asked_for_comes(numbers, monkeypatch, cuts, skipped, ranges):
    content, good, bad = numbers
    monkeypatch.setattr(remote, "SKIPPED", skipped)
    cuts = sorted(cuts)
    wanted = [(a, b - a) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    found = Prepared(good if ranges else bad).read_ranges("file", wanted)
    assert found == [content[offset : offset + length] for offset, length in wanted]


@pytest.mark.parametrize(
    "bad",
    [web.busy, web.hangs_up, web.breaks_off, web.resets, web.of_status(429), web.of_status(500), web.no_http],
    ids=["busy", "hangs up", "breaks off", "resets", "429", "500", "no http"],
)
def test_what_passes_is_tried_again(corpus, folder, bad):
    for name in ("prep.json", "train-000001.jsonl", "train-000001.tar"):
        with web.serving(folder, web.only_at_first(bad, 2), name) as server:
            assert_the_same(corpus, Prepared(f"{server.url}/small"))


def test_what_came_before_a_failure_is_not_asked_for_again(corpus, folder):
    with web.serving(folder, web.only_at_first(lambda handler: web.breaks_off(handler)), "train-000000.tar") as server:
        assert_the_same(corpus, Prepared(f"{server.url}/small"))
        first, second, *_ = (part for path, part in tars(server) if "000000" in path)
        assert int(second.split("=")[1].split("-")[0]) > int(first.split("=")[1].split("-")[0])


PAGES = [  # what a server does, and what is said of prep.json and of a tar
    (web.busy, r"the server answers 503 Service Unavailable, 3 times in a row; run the same command again", None),
    (web.of_status(403), r"the server answers 403 AccessDenied: does the address take NAME:PASSWORD@", None),
    (web.of_status(418), r"the server answers 418 AccessDenied$", None),
    (web.of_status(404), r"prep\.json is not there", r"tar: it is not there"),
    (web.error_page, r"prep\.json is not one that `avsr-bench prep`", r"it has 26 bytes, its index says at least \d"),
    (web.compressed, r"the server sends it compressed \(gzip\)", None),
    (web.says_too_little, r"prep\.json is not one that", r"it has [\d,]+ bytes, its index says at least"),
    (
        web.breaks_off,
        r"the connection broke after [\d,]+ of [\d,]+ bytes, 3 times",
        r"before the end of a clip, 3 times",
    ),
    (web.resets, r"the connection broke \(ConnectionResetError\), 3 times|broke after", r"broke"),
    (web.hangs_up, r"the connection broke \(RemoteDisconnected\), 3 times", None),
    (web.no_http, r"the connection broke \(BadStatusLine\), 3 times", None),
    (web.redirects_to("/small/prep.json"), r"redirects more than 5 times", r"it has [\d,]+ bytes, its index says"),
    (web.redirects_to(""), r"redirects more than 5 times", None),
    (web.redirects_to("file:///etc/passwd"), r"redirects to file:, and only http: and https: are followed", None),
    (web.redirects_to("ftp://127.0.0.1/x"), r"redirects to ftp:, and only http: and https: are followed", None),
    (web.redirects_to("http://a:b@127.0.0.1/"), r"redirects to http:", None),
    (web.other_range, r"answers 206", r"bytes \d+-\d+ were asked for, and the server sends bytes 0-499/1000000"),
    (web.no_content_range, r"answers 206", r"were asked for, and the server sends something else"),
    (web.never_ends_its_head, r"the answer does not end", None),
    (web.never_ends_in_chunks, r"it has more than 100,000 bytes", r"is not what its index says"),
    (
        web.never_ends,
        r"it has more than 100,000 bytes, which no prep\.json and no index has",
        r"is not what its index says",
    ),
]


@pytest.mark.parametrize("bad, of_prep, of_tar", PAGES, ids=[f"{number}" for number in range(len(PAGES))])
def test_what_a_server_does_ends_in_one_line(corpus, folder, monkeypatch, bad, of_prep, of_tar):
    monkeypatch.setattr(remote, "LARGEST", 100_000)
    for name, said in (("prep.json", of_prep), ("train-000001.tar", of_tar or of_prep)):
        with web.serving(folder, bad, name) as server, pytest.raises(Refused, match=said) as refused:
            read_all(Prepared(f"{server.url}/small"))
        assert f"{server.url}/small" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("bad", [web.stalls, web.stalls_inside, web.drips, web.drips_its_head])
def test_a_server_that_stalls_is_given_up(folder, impatient, bad):
    with (
        web.serving(folder, bad, "prep.json") as server,
        pytest.raises(Refused, match=r"no answer, or less than 1,000 bytes/s, for 0\.3 s, 3 times in a row"),
    ):
        Prepared(f"{server.url}/small").prep  # noqa: B018


def test_nobody_there():
    with pytest.raises(Refused, match=r"cannot read http://127\.0\.0\.1:9/small/prep\.json: no server listens there"):
        Prepared("http://127.0.0.1:9/small").prep  # noqa: B018
    with pytest.raises(Refused, match=r"nowhere\.invalid/prep\.json: the host is not known"):
        Prepared("http://nowhere.invalid").prep  # noqa: B018


def test_an_index_that_claims_too_much(corpus, folder, tmp_path):
    shutil.copytree(folder / "small", tmp_path / "small")
    for bad in (None, web.no_ranges):
        for size, said in ((10**15, "index says at least"), (10**17, "index says at least|ends before")):
            with web.serving(tmp_path, bad) as server, pytest.raises(Refused, match=said):
                Prepared(f"{server.url}/small").read_ranges("train/train-000000.tar", [(0, 8), (512, size)])


def test_a_corpus_that_is_made_again_meanwhile(corpus, folder, tmp_path):
    shutil.copytree(folder / "small", tmp_path / "small")
    with web.serving(tmp_path) as server:
        known = Prepared(f"{server.url}/small")
        places = data.places(known, "train", "video")
        tar = tmp_path / "small" / "train" / "train-000001.tar"
        other = bytearray(tar.read_bytes())
        other[places[7].entry.members["mouth.mp4"].offset + 5] ^= 1
        tar.write_bytes(other)
        with pytest.raises(Refused, match=r"train007\.mouth\.mp4 is not what its index says: .*made anew"):
            list(data.examples(known, places, "video"))
        tar.write_bytes(other[:1500])
        with pytest.raises(Refused, match=r"(it has 1,500 bytes, its index says|ends before what its index)"):
            list(data.examples(known, places, "video"))


def test_credentials_go_to_their_host_alone_and_are_never_said(folder):
    with (
        web.serving(folder) as other,
        web.serving(folder, web.redirects_to(f"{other.url}/small/prep.json"), "prep") as server,
    ):
        url = server.url.replace("//", "//me:s%40cret@")
        there = Prepared(f"{url}/small?token=hidden")
        assert there.location == f"{server.url}/small" and "cret" not in repr(there) and there.name == "small"
        assert there.prep["splits"]
        known = "Basic " + base64.b64encode(b"me:s@cret").decode()
        assert server.asked == [("/small/prep.json?token=hidden", None, known)]
        assert other.asked == [("/small/prep.json", None, None)]
        with pytest.raises(Refused) as refused:
            there.read("nothing")
        assert "cret" not in str(refused.value) and "hidden" not in str(refused.value)


@pytest.mark.parametrize("name", ["my corpus", "100%", "a#b", "a?b", "ü"])
def test_names_that_an_address_writes_in_another_way(folder, tmp_path, name):
    (tmp_path / name).symlink_to(folder / "small")
    with web.serving(tmp_path) as server:
        there = Prepared(f"{server.url}/{quote(name)}/")
        assert there.name == name and there.prep["splits"]
        if name in ("my corpus", "ü"):  # as people paste it
            assert Prepared(f"{server.url}/{name}").prep["splits"]


def test_addresses_that_are_none():
    for address in ("http://host:port/x", "http:///x", "https://me:pa/ss@host/x", "http://[::1/x"):
        with pytest.raises(Misused, match="has no host, or a port that is none") as refused:
            Prepared(address).prep  # noqa: B018
        assert "ss@" not in str(refused.value)
    with pytest.raises(Misused, match=r"http://host/a is followed by a #: in an address it is written %23"):
        Prepared("http://host/a#b").prep  # noqa: B018
    for address in ("ftp://host/x", "file:///etc", "nosuch://bucket/small"):
        with pytest.raises(Refused, match=r"cannot be opened: a corpus lies in a folder, or behind http://"):
            Prepared(address).prep  # noqa: B018


@given(st.text(), st.text(), st.text())
def test_no_secret_is_left(name, password, token):
    user = f"{quote(name, safe='')}:{quote(password, safe='')}@"
    assert without_secrets(f"https://{user}host/lrs3?{token}") == "https://host/lrs3"


def test_an_address_in_version_6(folder):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with web.serving(folder, host="::1") as server:
        assert Prepared(f"{server.url}/small").prep["splits"] and Prepared(server.url).name == "::1"


def test_a_certificate_that_nobody_vouches_for(folder, tmp_path, monkeypatch):
    pem = tmp_path / "pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pem, "-out", tmp_path / "crt"]
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    names = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*make, *names], check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + (tmp_path / "crt").read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with web.serving(folder) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        there = Prepared(f"{server.url.replace('http', 'https')}/small")
        with pytest.raises(Refused, match=r"its certificate is not accepted .*SSL_CERT_FILE names other authorities"):
            there.read("prep.json")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "crt"))
        transport._certificates.cache_clear()
        assert there.prep["splits"]
    transport._certificates.cache_clear()
