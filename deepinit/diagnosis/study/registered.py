"""The registered configurations: committed before any training, and never changed."""

import functools
import hashlib
import importlib.resources
import json
from typing import Any

from deepinit.core.errors import DamagedError

SHA256 = "179a38a20c33b5ab8107311da8d8d4c5fb2179c743a0e3dde6195c7f2b24bae5"


@functools.cache
def configurations() -> dict[str, Any]:
    """`configurations.json`; DamagedError if it is not the registered file."""
    data = (importlib.resources.files(__package__) / "configurations.json").read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        given = f"configurations.json with SHA-256 {found[:16]}"
        raise DamagedError(given, f"the registered {SHA256[:16]}", "Restore the committed file.")
    return json.loads(data)
