"""Fixtures of all tests. What only one layer needs stands in that layer's tests."""

import os

import pytest

_PROXIES = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting and no proxy of the machine reaches a test."""
    for name in list(os.environ):
        if name.upper().startswith("DUOMI_") or name.upper() in _PROXIES:
            monkeypatch.delenv(name)
