"""Bare threads and requests (R1), and the same with one decode and one thumbnail a picture (R2)."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from PIL import Image
from requests.adapters import HTTPAdapter

from duomi_pipeline_tests.bench.measure import Cost, measured

MODEL = "stabilityai/stable-diffusion-xl-base-1.0"
SIDE = 192  # pixels of the thumbnail


def bare_threads(url: str, texts: list[str], concurrency: int, folder: Path) -> Cost:
    """R1: no check, no record."""
    return _threads(url, texts, concurrency, folder, decode=False)


def threads_and_decode(url: str, texts: list[str], concurrency: int, folder: Path) -> Cost:
    """R2: what checking and showing a picture costs at least."""
    return _threads(url, texts, concurrency, folder, decode=True)


def _threads(url: str, texts: list[str], concurrency: int, folder: Path, *, decode: bool) -> Cost:
    folder.mkdir(parents=True)
    session = open_session(concurrency)

    def one(number: int) -> None:
        data = ask(session, url, texts[number])
        if decode:
            thumbnail(data)
        (folder / f"{number}.png").write_bytes(data)

    with measured(Cost(pictures=len(texts))) as cost, ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(one, range(len(texts))))
    return cost


def open_session(concurrency: int) -> requests.Session:
    """A session that keeps enough connections."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_connections=2, pool_maxsize=2 * concurrency))
    return session


def ask(session: requests.Session, url: str, text: str) -> bytes:
    """One picture."""
    body = {"model": MODEL, "prompt": text, "image_size": "1080x1920", "batch_size": 1}
    answer = session.post(f"{url}/v1/images/generations", json=body, timeout=60)
    answer.raise_for_status()
    address = answer.json()["images"][0]["url"]
    picture = session.get(address, timeout=60)
    picture.raise_for_status()
    return picture.content


def thumbnail(data: bytes) -> bytes:
    """A decoded picture's thumbnail."""
    picture = Image.open(io.BytesIO(data))
    picture.load()
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    picture.convert("RGB").save(file, "WEBP")
    return file.getvalue()
