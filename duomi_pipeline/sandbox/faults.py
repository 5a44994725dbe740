"""What the sandbox service is told to do wrong, and how often.

Holds the settings and the dice that are thrown for them. What a fault does to an answer is decided
where the answer is made: `submissions` for submissions, `tasks` for polls, `downloads` and `pictures` for pictures.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from duomi_pipeline.sandbox.plays import Play, Rate

Seconds = Annotated[float, Field(ge=0)]
HostileDownload = Literal["endless", "bomb", "redirect_loop", "redirect_to_file"]
AnswerStyle = Literal["url", "b64", "b64_data_uri", "b64_urlsafe", "both", "relative_url", "url_string"]
ImageFormat = Literal["png", "jpeg", "webp", "avif"]
PictureForm = Literal["plain", "grey16", "palette", "bad_text_checksum", "big_text"]
Framing = Literal["plain", "keep_alive", "blank", "sse"]
KeyForm = Literal["plain", "escaped", "unicode", "percent"]
InterimStatus = Annotated[int, Field(ge=100, le=199)]
ErrorStatus = Annotated[int, Field(ge=400, le=599)]


def has_word(prompt: str, words: Sequence[str]) -> bool:
    """Whether a prompt contains one of the words, in whatever case."""
    folded = prompt.casefold() if words else ""
    return any(word.casefold() in folded for word in words)


class Faults(BaseModel):
    """The sandbox's behaviour; without arguments, a service that does everything right at once.

    All rates are chances between 0 and 1. The dice depend on `fault_seed`, the request's body and how often
    it came before, and on nothing else: a run can be repeated, whatever the order of its requests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fault_seed: int = Field(default=0, description="Start of all dice: the same seed gives the same faults.")

    latency: Seconds = Field(default=0, description="Seconds between a purchase and its answer.")
    latency_jitter: Seconds = Field(default=0, description="Up to so many seconds more, drawn per request.")
    task_seconds: Seconds = Field(default=0, description="Seconds from the submission of a task until it is done.")
    hang_seconds: Seconds = Field(default=60, description="Seconds for which an answer hit by rate_hang is withheld.")
    early_404_seconds: Seconds = Field(default=0, description="Seconds for which a fresh task answers 404.")

    answer: AnswerStyle = Field(default="url", description="How pictures are handed out; tasks only hand out URLs.")
    answer_at_once: bool = Field(default=False, description="duomi_async submissions answer with the pictures.")
    success: dict[str, object] = Field(
        default_factory=dict, description="Keys put into all answers with pictures and into done tasks."
    )
    framing: Framing = Field(default="plain", description="What is sent around the JSON of answers with pictures.")
    done_word: str | None = Field(default=None, description="State of a finished task; drawn per task if not set.")
    failed_word: str | None = Field(default=None, description="State of a failed task; drawn per task if not set.")
    url_lifetime: Seconds | None = Field(default=None, description="Seconds until a picture's URL answers 403.")
    poll_renews_url: bool = Field(default=False, description="Each poll of a finished task starts url_lifetime anew.")

    picture: Literal["card", "flat", "photo"] = Field(
        default="card",
        description="card: drawn from the prompt; flat (19 kB), photo (2.8 MB): drawn once, for benchmarks.",
    )
    image_format: ImageFormat | None = Field(default=None, description="Format of all pictures, whatever was asked.")
    image_size: str | None = Field(default=None, pattern=r"^\d{1,4}x\d{1,4}$", description="Size of all pictures, WxH.")
    picture_form: PictureForm = Field(
        default="plain", description="Unless plain, all pictures are PNG of this form, whatever format was asked."
    )

    api_key: str | None = Field(default=None, description="The only key accepted; without it any or none will do.")
    price: float = Field(default=0.1, ge=0, description="Amount written in the books for a picture.")
    credits: int | None = Field(default=None, ge=0, description="Pictures that can be billed since the books began.")
    known_models: tuple[str, ...] = Field(default=(), description="If given, other models do not exist.")
    disabled_models: tuple[str, ...] = Field(default=(), description="Models that are refused with code 30003.")
    refuse: tuple[str, ...] = Field(default=(), description="Prompts with one of these words are refused, not billed.")
    task_fails: tuple[str, ...] = Field(default=(), description="Tasks of prompts with such a word fail, not billed.")
    task_empty: tuple[str, ...] = Field(
        default=(), description="Tasks of prompts with such a word are done without a picture for ever, billed."
    )
    task_reason: str = Field(default="", description="What tasks that fail or are done without a picture say of it.")
    task_endless: tuple[str, ...] = Field(default=(), description="Tasks of prompts with such a word never end.")
    deny_polls: tuple[str, ...] = Field(
        default=(), description="Polls for prompts with such a word answer deny_status for ever."
    )
    deny_status: ErrorStatus = Field(default=403, description="Status of the polls that deny_polls hits.")
    deny_body: str = Field(default='{"message": "Forbidden"}', description="Body of the polls that deny_polls hits.")
    deny_downloads: tuple[str, ...] = Field(
        default=(), description="Pictures of prompts with such a word answer deny_download_status for ever."
    )
    deny_download_status: ErrorStatus = Field(default=403, description="Status of what deny_downloads hits.")
    repeat_key: KeyForm | None = Field(
        default=None, description="401 and the plays repeat the client's key: plain, with \\/, with \\u0073, with %2F."
    )
    idempotency_header: str | None = Field(
        default=None, description="A value of this header that came before gets the earlier purchase, not billed again."
    )

    requests_per_minute: int | None = Field(default=None, ge=1, description="429 with Retry-After above it.")
    requests_per_day: int | None = Field(default=None, ge=1, description="429 with code 50605 above it, per UTC day.")
    concurrency: int | None = Field(default=None, ge=1, description="503 with code 50505 for more requests at a time.")
    retry_after: Seconds | None = Field(default=1, description="Retry-After sent with answers hit by rate_429.")

    rate_reset_before: Rate = Field(default=0, description="Connection reset, nothing billed.")
    rate_429: Rate = Field(default=0, description="429 with Retry-After, nothing billed.")
    rate_503: Rate = Field(default=0, description="503 with code 50505, nothing billed.")
    rate_500_html: Rate = Field(default=0, description="500 with an HTML page, nothing billed.")
    rate_html_200: Rate = Field(default=0, description="200 with an HTML page, nothing billed.")
    rate_reset_after: Rate = Field(default=0, description="Billed, then the connection is reset without an answer.")
    rate_truncated_answer: Rate = Field(
        default=0, description="Billed, then half of the answer and the end of the connection."
    )
    rate_hang: Rate = Field(default=0, description="Billed, then no answer for hang_seconds.")

    plays: tuple[Play, ...] = Field(default=(), description="Scripted answers; the first that matches is given.")

    interim: tuple[InterimStatus, ...] = Field(
        default=(), description="Statuses, such as 103, sent before the answer of submissions hit by rate_interim."
    )
    interim_seconds: Seconds = Field(default=0.5, description="Seconds from the submission to its interim statuses.")
    interim_wait: Seconds = Field(default=3, description="Seconds, with those, from the submission to its answer.")
    rate_interim: Rate = Field(default=0, description="A submission first gets the interim statuses.")
    interim_word: str | None = Field(default=None, description="Prompts with it get them, instead of rate_interim.")

    rate_poll_error: Rate = Field(default=0, description="A poll answers 500.")
    rate_poll_404: Rate = Field(default=0, description="A poll answers 404.")
    rate_empty_success: Rate = Field(default=0, description="A task is done without pictures at its first two polls.")

    hostile_download: HostileDownload | None = Field(
        default=None, description="All downloads are endless, bombs, or redirected in circles or to a file."
    )
    told_url: str | None = Field(default=None, description="Told instead of each picture's URL.")
    told_file_name: str | None = Field(default=None, description="Told instead of each picture's file name.")

    rate_download_busy: Rate = Field(default=0, description="A download answers 503.")
    download_busy_seconds: Seconds = Field(
        default=0, description="Seconds for which downloads answer 503 after the URL was told."
    )
    rate_truncated_download: Rate = Field(default=0, description="The connection ends in the middle of a picture.")
    rate_truncated_image: Rate = Field(default=0, description="Half a picture, sent as if it were whole.")
    rate_html_image: Rate = Field(default=0, description="HTML with 200 instead of a picture.")
    rate_blank_image: Rate = Field(default=0, description="A picture of one colour.")
    rate_jpeg_as_png: Rate = Field(default=0, description="JPEG bytes called image/png.")
    rate_wrong_size: Rate = Field(default=0, description="A picture of 1024x1024, whatever was asked.")

    def draw(self, purpose: str, *key: str | int) -> float:
        """A number in [0, 1) that depends on nothing but the seed, the purpose and the key."""
        text = "\0".join((str(self.fault_seed), purpose, *map(str, key)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest()) / 2**56

    def strikes(self, rate_name: str, *key: str | int) -> bool:
        """Whether the fault of that name happens to the request named by the key."""
        rate: float = getattr(self, rate_name)
        return rate > 0 and self.draw(rate_name, *key) < rate

    def first_strike(self, rate_names: tuple[str, ...], *key: str | int) -> str | None:
        """The first of these faults that happens to the request, if any."""
        return next((name for name in rate_names if self.strikes(name, *key)), None)

    def play_for(self, prompt: str, model: str, key: str, came_before: int) -> Play | None:
        """The scripted answer to the submission named by the key, whose body came so many times before."""
        for number, play in enumerate(self.plays):
            if play.concerns(prompt, model, came_before) and self.draw("play", number, key) < play.rate:
                return play
        return None

    def interrupts(self, prompt: str, key: str) -> bool:
        """Whether the submission named by the key first gets the interim statuses."""
        if self.interim_word is not None:
            return has_word(prompt, (self.interim_word,))
        return self.strikes("rate_interim", key)

    def seconds_of_latency(self, *key: str | int) -> float:
        """How long the answer to the request named by the key takes."""
        if not self.latency_jitter:
            return self.latency
        return self.latency + self.latency_jitter * self.draw("latency", *key)
