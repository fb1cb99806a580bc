"""Seeds of everything that is drawn at random."""

import hashlib


def derived_seed(root: int, purpose: str) -> int:
    """Return the seed of a purpose: 31 bits of a hash of it and the root seed."""
    return int.from_bytes(hashlib.sha256(f"{root}/{purpose}".encode()).digest()[:4], "big") >> 1
