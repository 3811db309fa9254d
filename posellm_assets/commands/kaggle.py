"""Downloads a Kaggle data set into a folder, where there are credentials.

One request to Kaggle's documented API and a careful unpacking; its own clients bring a command line, an SDK and caches
of their own for the same.
"""

import os
import re
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

import httpx

API = "https://www.kaggle.com/api/v1"
MOST_BYTES = 50 * 1024**3  # unpacked
_HANDLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


class KaggleError(RuntimeError):
    """A data set that cannot be had; the message says what to do."""


def download(handle: str, out: Path, api: str = API) -> Path:
    """Put the files of the data set `handle` (owner/name) into the new folder `out`, which appears whole or not at all.

    Credentials come from KAGGLE_USERNAME and KAGGLE_KEY. Raises KaggleError.
    """
    if not _HANDLE.fullmatch(handle):
        raise KaggleError(f"{handle!r} is no data set of Kaggle: write owner/name, as in its address")
    if out.exists():
        raise KaggleError(f"{out} exists already; name a new folder")
    user, key = (os.environ.get(name, "").strip() for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"))
    if not user or not key:
        raise KaggleError(
            "Kaggle asks who downloads: put KAGGLE_USERNAME and KAGGLE_KEY into the environment (kaggle.com, Settings, "
            "Create New Token), or download the data set yourself and name its folder"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        archive, folder = Path(temporary, "archive.zip"), Path(temporary, "files")
        _fetch(f"{api}/datasets/download/{handle}", (user, key), archive, handle)
        unpack(archive, folder)
        os.replace(folder, out)
    return out


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip into `folder`. Raises KaggleError, before anything is written, for a file that would lie outside of
    it, for links, and for more than `MOST_BYTES`."""
    try:
        with zipfile.ZipFile(archive) as content:
            members = [member for member in content.infolist() if not member.is_dir()]
            for member in members:
                path = PurePosixPath(member.filename.replace("\\", "/"))
                if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
                    raise KaggleError(f"the archive holds {member.filename!r}, which would lie outside of its folder")
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise KaggleError(f"the archive holds a link, {member.filename!r}")
            if (size := sum(member.file_size for member in members)) > MOST_BYTES:
                raise KaggleError(f"the archive unpacks to {size / 1024**3:.0f} GiB, of {MOST_BYTES / 1024**3:.0f}")
            for member in members:
                target = folder / PurePosixPath(member.filename.replace("\\", "/"))
                target.parent.mkdir(parents=True, exist_ok=True)
                with content.open(member) as source, target.open("wb") as stream:
                    shutil.copyfileobj(source, stream, 1 << 20)
    except zipfile.BadZipFile as error:
        raise KaggleError(f"what came is no zip archive: {error}") from error


def _fetch(url: str, who: tuple[str, str], target: Path, handle: str) -> None:
    # httpx keeps credentials from the storage that Kaggle forwards to; what it raises would hold them.
    try:
        with (
            httpx.stream("GET", url, auth=who, follow_redirects=True, timeout=60) as response,
            target.open("wb") as stream,
        ):
            status = response.status_code
            if status == 200:
                for piece in response.iter_bytes():
                    stream.write(piece)
    except httpx.HTTPError as error:
        raise KaggleError(f"{handle}: Kaggle cannot be reached ({type(error).__name__}); try again later") from None
    if status in (401, 403):
        raise KaggleError(f"{handle}: Kaggle refuses (HTTP {status}): look at KAGGLE_KEY, and accept its terms there")
    if status != 200:
        raise KaggleError(f"{handle}: Kaggle answers HTTP {status}; is the name right?")
