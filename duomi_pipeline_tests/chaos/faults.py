"""What goes wrong at the service: plays for some prompts, faults by chance for all."""

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.plays import Play

# What a service answers to some prompts for ever, and to others now and then.
PLAYS = (
    Play(
        word="number 1,", body='{"error": {"message": "rejected by content moderation", "code": "moderation_blocked"}}'
    ),
    Play(word="number 2,", body='{"code": 20015, "message": "field x is wrong"}'),
    Play(word="number 3,", status=403, body="<h1>Sorry, you have been blocked</h1>", media_type="text/html"),
    Play(word="number 4,", status=200, billed=True, body='{"artwork": "elsewhere"}'),
    Play(word="number 5,", status=524, billed=True, body="<h1>A timeout occurred</h1>", media_type="text/html"),
    Play(rate=0.02, status=504, billed=True, body="<h1>Gateway Time-out</h1>", media_type="text/html"),
    Play(rate=0.02, status=530, body="<h1>Origin DNS error</h1>", media_type="text/html"),
)
FAULTS = {
    "async": Faults(
        picture="flat", latency=0.01, latency_jitter=0.02, task_seconds=0.6, early_404_seconds=0.3, rate_429=0.05,
        rate_503=0.05, rate_500_html=0.03, rate_reset_before=0.03, rate_poll_error=0.1, rate_poll_404=0.1,
        rate_empty_success=0.1, rate_truncated_download=0.1, rate_html_image=0.05, rate_html_200=0.02, rate_reset_after=0.02,
        rate_truncated_answer=0.02, rate_truncated_image=0.03, rate_jpeg_as_png=0.05, rate_wrong_size=0.05,
        rate_hang=0.005, hang_seconds=5, retry_after=0.2, plays=PLAYS, task_empty=("number 11,",), task_reason="IMAGE_SAFETY",
        deny_polls=("number 12,",), task_endless=("number 13,",), deny_downloads=("number 14,",), rate_download_busy=0.05,
        rate_interim=0.05, interim=(103,), interim_seconds=0.05, interim_wait=0.3, success={"code": 10000, "msg": "Success"},
    ),
    "sync": Faults(
        picture="flat", latency=0.1, latency_jitter=0.2, answer="both", rate_429=0.05, rate_503=0.05,
        rate_500_html=0.03, rate_reset_before=0.03, rate_truncated_download=0.1, rate_html_image=0.05, rate_html_200=0.02,
        rate_reset_after=0.02, rate_truncated_answer=0.02, rate_truncated_image=0.03, rate_jpeg_as_png=0.05,
        rate_wrong_size=0.05, rate_hang=0.005, hang_seconds=5, retry_after=0.2, plays=PLAYS, deny_downloads=("number 14,",),
        rate_download_busy=0.05, rate_interim=0.05, interim=(103,), interim_seconds=0.05, interim_wait=0.3,
        success={"code": 10000, "msg": "Success"}, framing="keep_alive", picture_form="bad_text_checksum",
    ),
}  # fmt: skip
