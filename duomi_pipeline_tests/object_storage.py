"""An S3 server for tests: moto's, with the calls that it got, and with refusals."""

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
import requests


class Bucket:
    """A bucket on a server of its own.

    Attributes:
        url: `s3://NAME`.
        calls: of everybody since the last `forget`: method and path.
        refuses: whether a call gets 403 instead of an answer.
        cuts_listings: whether every listing breaks behind its first two objects: `refused`, or `empty` pages.
        done: called after each call, before its answer is sent.
    """

    def __init__(self, name: str) -> None:
        self.url = f"s3://{name}"
        self.calls: list[tuple[str, str]] = []
        self.refuses: Callable[[str, str], bool] = lambda _method, _path: False
        self.cuts_listings: Literal["", "refused", "empty"] = ""
        self.done: Callable[[str, str], None] = lambda _method, _path: None

    def client(self) -> Any:
        """A client of `boto3`, as other programs have it."""
        import boto3  # noqa: PLC0415

        return boto3.client("s3")

    def forget(self) -> None:
        """Begin to count anew."""
        self.calls.clear()

    def answered(self, app: Any, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Count a call, and refuse it or hand it on."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.calls.append((method, path))
        if self.cuts_listings and "list-type=" in environ["QUERY_STRING"]:
            is_cut = "continuation-token=" in environ["QUERY_STRING"]
            environ["QUERY_STRING"] += "&max-keys=2"
            if is_cut and self.cuts_listings == "empty":
                start_response("200 OK", [("Content-Type", "application/xml")])
                return [b""]
        else:
            is_cut = False
        if is_cut or self.refuses(method, path):
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]
        answer: Iterable[bytes] = app(environ, start_response)
        self.done(method, path)
        return answer


@contextmanager
def bucket(patch: pytest.MonkeyPatch, name: str = "") -> Iterator[Bucket]:
    """An empty bucket, which the environment points to; skips the test where moto or s3fs is not installed."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415
    from werkzeug.serving import make_server  # noqa: PLC0415

    name = name or f"bucket-{uuid.uuid4().hex[:12]}"
    found, app = Bucket(name), DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, lambda *asked: found.answered(app, *asked), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for variable, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        patch.setenv(variable, value)
    import s3fs  # noqa: PLC0415

    client = found.client()
    client.create_bucket(Bucket=name)
    found.forget()
    yield found
    requests.post(f"http://127.0.0.1:{server.port}/moto-api/reset", timeout=10)  # its buckets outlive the server
    client.close()
    server.shutdown()
    s3fs.S3FileSystem.clear_instance_cache()  # its clients know this server's address
