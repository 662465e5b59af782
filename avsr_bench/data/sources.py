"""Where the files of a remote corpus are asked for: the URL and the headers of each, with whatever lets us in.

https://HOST/lrs3          https://NAME:PASSWORD@HOST/lrs3          https://HOST/lrs3?TOKEN
s3://BUCKET/lrs3           gs://BUCKET/lrs3
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

from ..records import Misused, Refused
from . import transport


class Source(Protocol):
    """A place of files."""

    @property
    def hint(self) -> str:
        """What to do where the server lets nobody in."""

    def ask(self, name: str) -> tuple[str, dict[str, str]]:
        """The URL and the headers with which a file is asked for."""


def without_secrets(word: str) -> str:
    """A location, or a word of a command with one in it, without the password and the token of its URL.

    >>> without_secrets("--data=https://me:secret@host/lrs3?sig=ab%2F")
    '--data=https://host/lrs3'
    """
    word = re.sub(r"(\w://)[^/?#]*@", r"\1", word)
    return re.sub(r"(https?://[^?#]*)[?#].*", r"\1", word, flags=re.I | re.S)


def name_of(location: str) -> str:
    """What a remote corpus is called: the last part of its path, or its host.

    >>> name_of("https://host/my%20corpus"), name_of("s3://bucket/lrs3"), name_of("http://host:80/%2e%2e")
    ('my corpus', 'lrs3', 'host')
    """
    protocol, _, rest = without_secrets(location).partition("://")
    host, *parts = [part for part in rest.split("/") if part]
    name = parts[-1] if parts else ""
    name = unquote(name) if protocol in ("http", "https") else name
    return name if name.isprintable() and name not in ("", ".", "..") and "/" not in name else _host(host)


def _host(address: str) -> str:
    return urlsplit(f"//{address}").hostname or address


def open_source(location: str) -> Source:
    """The source behind a location; one that cannot be is refused, without a word of what may be secret."""
    protocol = location.partition("://")[0].lower()
    if protocol not in _SOURCES:
        raise Refused(
            f"{without_secrets(location)} cannot be opened: a corpus lies in a folder, or behind http://, https://,"
            " s3:// or gs://"
        )
    return _SOURCES[protocol](location)


@dataclass(frozen=True)
class Web:
    """A folder of a web server. A query is added to the URL of every file: stores let in by it (`?sig=...`)."""

    root: str
    query: str
    headers: dict[str, str] = field(repr=False)
    hint = "does the address take NAME:PASSWORD@, or a ?TOKEN at its end?"

    def ask(self, name: str) -> tuple[str, dict[str, str]]:
        """As the protocol says."""
        return f"{self.root}/{quote(name)}{self.query}", dict(self.headers)


def _web(location: str) -> Web:
    try:
        parts = urlsplit(location)
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise Misused(
            f"the address {location.partition('://')[0]}://... has no host, or a port that is none: in a name or a"
            " password write # ? @ : / as %23 %3F %40 %3A %2F"
        )
    if "#" in location:
        raise Misused(f"{without_secrets(location)} is followed by a #: in an address it is written %23")
    headers = {}
    if "@" in parts.netloc:
        known = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {b64encode(known.encode()).decode()}"
    safe = "%/:=&~+!$,;'@()*"
    query = f"?{quote(parts.query, safe=safe + '?')}" if parts.query else ""
    host = parts.netloc.rpartition("@")[2]
    return Web(f"{parts.scheme}://{host}{quote(parts.path.rstrip('/'), safe=safe)}", query, headers)


@dataclass(frozen=True)
class Bucket:
    """A folder of a bucket of S3, or of a store that speaks like it (AWS_ENDPOINT_URL)."""

    sign: Callable[[str], str] = field(repr=False)
    prefix: str
    hint = "may your AWS credentials read it (AWS_PROFILE, `aws configure`), and is it there?"

    def ask(self, name: str) -> tuple[str, dict[str, str]]:
        """A URL that is signed for an hour: signing goes without a connection."""
        return self.sign(f"{self.prefix}{name}"), {}


def _s3(location: str) -> Bucket:
    bucket, prefix = _bucket(location)
    try:
        import botocore.session
        from botocore import UNSIGNED
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise _lacking(location, "s3") from None

    def client(region: str | None = None) -> Any:
        return session.create_client("s3", region_name=region, config=config)

    try:
        session = botocore.session.Session()
        config = Config(
            signature_version="s3v4" if session.get_credentials() else UNSIGNED,  # without any: public buckets
            connect_timeout=transport.TIMEOUT,
            read_timeout=transport.TIMEOUT,
            retries={"total_max_attempts": 3, "mode": "standard"},
        )
        first = client()
        try:
            answer = first.head_bucket(Bucket=bucket)
        except ClientError as error:  # also an answer that lets nobody in says where the bucket is
            answer = error.response
        region = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
        signer = client(region) if region and region != first.meta.region_name else first
        return Bucket(
            lambda key: str(signer.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key})), prefix
        )
    except (BotoCoreError, ValueError) as error:
        why = " ".join(str(error).split())
        raise Refused(f"{location} cannot be opened: {why}; see to AWS_PROFILE and AWS_ENDPOINT_URL") from None


@dataclass(frozen=True)
class GoogleBucket:
    """A folder of a bucket of Google Cloud Storage; STORAGE_EMULATOR_HOST names another server."""

    root: str
    token: Callable[[], str] = field(repr=False)
    hint = "may you read it (`gcloud auth application-default login`), and is it there?"

    def ask(self, name: str) -> tuple[str, dict[str, str]]:
        """A URL, and a token where there are credentials: without any, for public buckets."""
        token = self.token()
        return f"{self.root}{quote(name)}", {"Authorization": f"Bearer {token}"} if token else {}


def _gs(location: str) -> GoogleBucket:
    bucket, prefix = _bucket(location)
    if emulator := os.environ.get("STORAGE_EMULATOR_HOST"):
        host = emulator if "://" in emulator else f"http://{emulator}"
        return GoogleBucket(f"{host}/{quote(bucket)}/{quote(prefix)}", lambda: "")
    try:
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
        from google.auth.transport.requests import Request
    except ImportError:
        raise _lacking(location, "gcs") from None
    try:
        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/devstorage.read_only"])
    except DefaultCredentialsError as error:
        if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):  # without any: public buckets
            raise Refused(f"{location} cannot be opened: {' '.join(str(error).split())}") from None
        credentials = None

    def token() -> str:
        try:
            if credentials is not None and not credentials.valid:
                credentials.refresh(partial(Request(), timeout=transport.TIMEOUT))
        except GoogleAuthError as error:
            raise Refused(f"{location} cannot be opened: {' '.join(str(error).split())}") from None
        return credentials.token if credentials is not None else ""

    return GoogleBucket(f"https://storage.googleapis.com/{quote(bucket)}/{quote(prefix)}", token)


def _bucket(location: str) -> tuple[str, str]:
    """The bucket, and what stands before the names of files in it: any character may."""
    protocol, _, rest = location.partition("://")
    bucket, _, path = rest.partition("/")
    if not bucket or "@" in bucket:
        raise Misused(f"{without_secrets(location)} names no bucket: write {protocol}://BUCKET/PATH")
    path = path.rstrip("/")
    return bucket, f"{path}/" if path else ""


def _lacking(location: str, extra: str) -> Refused:
    return Refused(f"{location} cannot be opened: install avsr-bench[{extra}]")


_SOURCES: dict[str, Callable[[str], Source]] = {"http": _web, "https": _web, "s3": _s3, "gs": _gs}
