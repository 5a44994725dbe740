"""A client of the sandbox for its tests: plain requests, no help from the package's own client."""

import io
from typing import Any

import requests
from PIL import Image

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer

SDXL = "stabilityai/stable-diffusion-xl-base-1.0"


class Client:
    """Speaks to one sandbox, in each of the protocols."""

    def __init__(self, server: SandboxServer) -> None:
        self.server = server
        self.session = requests.Session()
        self.session.trust_env = False

    def post(self, path: str, body: dict[str, Any], **options: Any) -> requests.Response:
        return self.session.post(self.server.url + path, json=body, timeout=(2, 5), **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        url = path if path.startswith("http") else self.server.url + path
        return self.session.get(url, timeout=(2, 5), **options)

    def siliconflow(self, prompt: str = "a cat", **fields: Any) -> requests.Response:
        body = {"model": SDXL, "prompt": prompt, "image_size": "72x128", "batch_size": 1, **fields}
        return self.post("/v1/images/generations", body)

    def openai(self, prompt: str = "a cat", **fields: Any) -> requests.Response:
        return self.post("/v1/images/generations", {"model": SDXL, "prompt": prompt, "size": "72x128", **fields})

    def gpt_image(self, prompt: str = "a cat", **fields: Any) -> requests.Response:
        body = {"model": "gpt-image-2", "prompt": prompt, "size": "720x1280", **fields}
        return self.post("/v1/images/generations?async=true", body)

    def nano_banana(self, prompt: str = "a cat", **fields: Any) -> requests.Response:
        body = {"model": "gemini-2.5-flash-image", "prompt": prompt, "aspect_ratio": "9:16", **fields}
        return self.post("/api/gemini/nano-banana", body)

    def submitted(self, prompt: str = "a cat") -> str:
        """The path at which a new task is polled."""
        return "/v1/tasks/" + str(self.gpt_image(prompt).json()["id"])

    def bought(self) -> str:
        """The URL of a new picture."""
        return str(self.siliconflow().json()["images"][0]["url"])

    def set(self, **faults: Any) -> None:
        """Only these faults, over HTTP."""
        body = {**Faults(picture="flat").model_dump(mode="json"), **faults}
        answer = self.session.put(self.server.url + "/sandbox/faults", json=body, timeout=5)
        answer.raise_for_status()

    @property
    def billed(self) -> int:
        return int(self.get("/sandbox/books").json()["billed"])

    @property
    def last_answered(self) -> str:
        return self.server.books.posts()[-1].answered


def opened(answer: requests.Response) -> Image.Image:
    """The picture in a download, wholly decoded."""
    image = Image.open(io.BytesIO(answer.content))
    image.load()
    return image
