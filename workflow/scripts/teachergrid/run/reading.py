"""Look at results of which the user may not read everything: what cannot be read is unknown, and is said."""

import os

from ..store.owner import user_name


def unread(results: str) -> str:
    """Return in words which files may not be read, whose they are and the remedy; "" where all may be."""
    denied: list[str] = []
    for folder, folders, files in os.walk(results):
        paths = [os.path.join(folder, name) for name in files]
        denied += [path for path in paths if os.path.exists(path) and not os.access(path, os.R_OK)]
        subfolders = [os.path.join(folder, name) for name in folders]
        denied += [path for path in subfolders if not os.access(path, os.R_OK | os.X_OK)]
    if not denied:
        return ""
    first = min(denied)
    return (
        f"{len(denied)} files or folders may not be read, such as {first}; a result of which nothing else is known counts as not "
        f"made. Ask {user_name(os.stat(first).st_uid)}, who owns it, for `chmod -R g+rX {results}`"
    )
