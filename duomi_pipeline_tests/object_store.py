"""An S3 server for tests, from the package `moto`; where that or `s3fs` is not installed, the tests say so."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests


@contextmanager
def s3_server(monkeypatch: pytest.MonkeyPatch, bucket: str) -> Iterator[Any]:
    """A server on loopback that the environment names, with one bucket; gives a client of `boto3`."""
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    moto = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    boto3 = pytest.importorskip("boto3", reason="boto3 is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()  # they would ask the server of another test
    client = boto3.client("s3")
    client.create_bucket(Bucket=bucket)
    yield client
    requests.post(f"http://{host}:{port}/moto-api/reset", timeout=10)  # its buckets outlive it
    client.close()
    server.stop()
