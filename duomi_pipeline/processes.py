"""Which processes of this machine live: decides whose claims and temporary files are nobody's any more."""

import os


def process_exists(pid: int) -> bool:
    """Whether a process of this machine lives; where that cannot be told, it does."""
    if os.name == "nt":
        return True  # os.kill would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
