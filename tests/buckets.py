"""A bucket on moto's server with a folder in it: for tests of s3://."""

from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def bucket_of(folder: Path, bucket: str, prefix: str):
    """A client of a server with this bucket, in another region than the one that is configured."""
    import botocore.session
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as here:
        here.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        here.setenv("AWS_ACCESS_KEY_ID", "test")
        here.setenv("AWS_SECRET_ACCESS_KEY", "test")
        here.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = botocore.session.Session().create_client("s3")
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"{prefix}/{path.relative_to(folder)}"
                client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
        try:
            yield client
        finally:
            server.stop()
