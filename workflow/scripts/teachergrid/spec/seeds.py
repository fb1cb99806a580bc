"""Seeds of random draws."""

import hashlib


def derived_seed(root: int, purpose: str) -> int:
    """Return the seed for a purpose, such as `generation`: 31 bits of a hash of the purpose and the root seed."""
    return int.from_bytes(hashlib.sha256(f"{root}/{purpose}".encode()).digest()[:4], "big") >> 1
