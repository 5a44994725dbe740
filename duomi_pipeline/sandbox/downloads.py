"""Why a bought picture cannot be downloaded now: its host denies it or is busy, or its URL has expired.

Knows no HTTP. The bytes of a picture are in `pictures`.
"""

from duomi_pipeline.sandbox.faults import Faults, has_word
from duomi_pipeline.sandbox.journal import Purchase


def denial(purchase: Purchase, index: int, attempt: int, now: float, faults: Faults) -> tuple[str, int] | None:
    """The text and the status with which this download is denied; None if it is not.

    Args:
        purchase: What was bought.
        index: Which of its pictures, from 0.
        attempt: How many downloads of this picture came before.
        now: Seconds since 1970.
        faults: In force now.
    """
    if has_word(purchase.prompt, faults.deny_downloads):
        return "Access denied", faults.deny_download_status
    age = 0.0 if purchase.url_since is None else now - purchase.url_since
    if age < faults.download_busy_seconds or faults.strikes("rate_download_busy", purchase.key, index, attempt):
        return "Service Unavailable", 503
    if faults.url_lifetime is not None and age > faults.url_lifetime:
        return "Request has expired", 403
    return None
