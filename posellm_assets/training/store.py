"""The store: where checkpoints also go, so that another machine can resume from them.

Two homes behind one interface. A repository of the Hugging Face Hub takes each upload as one commit, which also removes
what it supersedes; a folder (or bucket: any fsspec URL) takes a checkpoint as valid from the moment its manifest is
there. What a store holds is written by strangers: names are checked here, content by `checkpoints.problem`.
"""

import errno
import os
import re
import shutil
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from upath import UPath

from posellm_assets import files
from posellm_assets.lake import CARD, Lake, checked_name
from posellm_assets.training import checkpoints
from posellm_assets.training.checkpoints import MANIFEST

if TYPE_CHECKING:
    from huggingface_hub import HfApi

HUB, PUBLIC_HUB = "hf://", "hf+public://"
"""Repositories of the Hugging Face Hub: private ones, and such as may be public."""
_REPOSITORY = "posellm-{stage}"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_WAITS_S = (1.0, 4.0, 15.0)
_STALE, _FULL = 412, 507
BETWEEN_COMMITS = (403, 409)
"""What the Hub answers to a commit while it is busy with another one, or has not heard of the repository everywhere."""
Result = TypeVar("Result")


class StoreError(RuntimeError):
    """The store did not do it; the message says which store and why, and never holds a token."""


class PassingFault(StoreError):
    """A fault that may be gone when it is tried again: a lost connection, a busy server, a commit that came between."""


def url_of(template: str | None, here: Lake, stage: str, snapshot: str) -> str:
    """The URL at which the checkpoints of a stage of a snapshot are stored; the lake's own folder where none is set.

    `hf://me` or `hf://me/some-name-{stage}` is a repository for each stage with a folder for each snapshot
    (`hf+public://...` where it may be public); anything else is a folder. Raises ValueError where the template cannot
    be used.
    """
    checked_name(stage), checked_name(snapshot)
    if template is None:
        return str(here.hub / stage / snapshot)
    if is_hub(template):
        scheme, _, address = template.partition("://")
        namespace, _, name = address.partition("/")
        name = (name or _REPOSITORY).replace("{snapshot}", snapshot)
        if "{stage}" not in name:
            raise ValueError(
                f"hub: {template} names one repository for all stages; write {scheme}://{namespace}/NAME-{{stage}}"
            )
        repository = f"{scheme}://{namespace}/{name.replace('{stage}', stage)}"
        open_store(f"{repository}/{snapshot}")  # raises where a name cannot be one
        return f"{repository}/{snapshot}"
    if urlsplit(template).password:
        raise ValueError("hub: the URL holds a password, which would end up in files: give it in the environment")
    root = UPath(template)
    if isinstance(root, Path) and not root.is_dir():
        # An empty folder in the place of a disk that is not mounted would start every training from the beginning.
        raise ValueError(f"hub: {template} is not there; create the folder, or mount the disk")
    return str(root / stage / snapshot)


def open_store(url: str) -> "CheckpointStore":
    """The store at a URL that `url_of` gave."""
    return HubFolder(url) if is_hub(url) else Folder(url)


def is_hub(url: str) -> bool:
    """Whether a URL or a template of one names a repository of the Hub."""
    return url.startswith((HUB, PUBLIC_HUB))


class CheckpointStore(ABC):
    """A place for the checkpoints of one training. Every method raises StoreError where it fails for good."""

    waits_s: Sequence[float] = _WAITS_S

    def __init__(self, url: str):
        self.url = url

    def steps(self) -> list[int]:
        """The steps of which a checkpoint is there with its manifest, the newest first."""
        return sorted(self._patiently(self._steps), reverse=True)

    def fetch(self, step: int, into: Path) -> None:
        """Download a checkpoint into the new folder `into`; raises ValueError where its manifest is none."""
        into.mkdir(parents=True)
        self._patiently(lambda: self._download(step, MANIFEST, into))
        for name in checkpoints.read_manifest((into / MANIFEST).read_bytes()):
            self._patiently(lambda name=name: self._download(step, name, into))  # type: ignore[misc]

    def push(self, folders: Sequence[Path], rejected: Collection[int], card: str) -> None:
        """Add those of the checkpoint `folders` that are not there yet, and remove what they supersede.

        Superseded are all older ones and those of the steps in `rejected`; a newer one that nobody looked at stays.
        """
        self._patiently(lambda: self._push({_step(folder): folder for folder in folders}, rejected, card))

    @abstractmethod
    def _steps(self) -> Collection[int]: ...

    @abstractmethod
    def _download(self, step: int, name: str, into: Path) -> None: ...

    @abstractmethod
    def _push(self, folders: dict[int, Path], rejected: Collection[int], card: str) -> None: ...

    def _patiently(self, work: Callable[[], Result]) -> Result:
        return patiently(work, self.waits_s)


def patiently(work: Callable[[], Result], waits_s: Sequence[float] = _WAITS_S) -> Result:
    """What `work` returns, which is tried again after each of the waits where a PassingFault meets it."""
    for wait_s in waits_s:
        try:
            return work()
        except PassingFault:
            time.sleep(wait_s)
    return work()


class Folder(CheckpointStore):
    """A folder on a disk, or what fsspec can write to like one."""

    def __init__(self, url: str):
        super().__init__(url)
        self.root = UPath(url)

    def _steps(self) -> Collection[int]:
        with self._naming():
            return {step for step, path in self._found() if _is_there(path / MANIFEST)}

    def _download(self, step: int, name: str, into: Path) -> None:
        with self._naming():
            _copy(self.root / f"checkpoint-{step}" / name, into / name)

    def _push(self, folders: dict[int, Path], rejected: Collection[int], card: str) -> None:
        with self._naming():
            for folder in folders.values():
                target = self.root / folder.name
                if _is_there(target) and not _same(target / MANIFEST, folder / MANIFEST):
                    self._remove(target)
                if not _is_there(target):
                    names = checkpoints.read_manifest((folder / MANIFEST).read_bytes())
                    for name in [*names, MANIFEST]:
                        _copy(folder / name, target / name)
            _put(self.root / CARD, lambda out: out.write(card.encode()))
            for step, path in self._found():
                if step not in folders and (step < max(folders) or step in rejected):
                    self._remove(path)

    def _found(self) -> list[tuple[int, UPath]]:
        """Checkpoint folders by step, whole or not."""
        try:
            named = [(checkpoints.step_of(path.name), path) for path in self.root.iterdir()]
        except FileNotFoundError:
            return []
        return [(step, path) for step, path in named if step is not None]

    def _remove(self, folder: UPath) -> None:
        (folder / MANIFEST).unlink(missing_ok=True)  # first, so that half of a checkpoint is never taken for one
        folder.fs.rm(folder.path, recursive=True)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except (ConnectionError, TimeoutError) as error:
            raise PassingFault(f"{self.url}: {error}") from error
        except OSError as error:
            full = " (it is full)" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            raise StoreError(f"{self.url}{full}: {error}") from error
        except ImportError as error:
            raise StoreError(f"{self.url}: {error}") from error
        except Exception as error:  # each library has errors of its own: those of botocore (S3) are no OSError
            if isinstance(self.root, Path) or isinstance(error, ValueError):
                raise
            raise PassingFault(f"{self.url}: {type(error).__name__}: {without_token(str(error))}") from error


class HubFolder(CheckpointStore):
    """A folder of a repository on the Hugging Face Hub, or on the server that HF_ENDPOINT names.

    One that is not there yet is made private. One that is public is refused unless the URL says that it may be.
    """

    def __init__(self, url: str):
        super().__init__(url)
        self.may_be_public = url.startswith(PUBLIC_HUB)
        parts = url.partition("://")[2].split("/")
        if len(parts) != 3 or not all(_HUB_NAME.fullmatch(part) and ".." not in part for part in parts):
            raise ValueError(f"{url} is not hf://NAMESPACE/REPOSITORY/FOLDER")
        self.repository, self.folder = "/".join(parts[:2]), parts[2]
        self._revision: str | None = None

    def _steps(self) -> Collection[int]:
        return self._whole(self._files())

    def _download(self, step: int, name: str, into: Path) -> None:
        path = f"{self.folder}/checkpoint-{step}/{name}"
        with hub_errors(self.url), tempfile.TemporaryDirectory(dir=into, prefix=".") as folder:
            got = hub_api().hf_hub_download(self.repository, path, revision=self._revision, local_dir=folder)
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(got, into / name)

    def _push(self, folders: dict[int, Path], rejected: Collection[int], card: str) -> None:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        files = self._files()
        new = [folder for step, folder in folders.items() if not self._has(step, folder, files)]
        additions: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(f"{self.folder}/{folder.name}/{path.relative_to(folder).as_posix()}", path)
            for folder in new
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        old = {
            step
            for step in map(self._step, files)
            if step is not None and step not in folders and (step < max(folders) or step in rejected)
        }
        removals = [CommitOperationDelete(f"{self.folder}/checkpoint-{step}/", is_folder=True) for step in sorted(old)]
        if not additions and not removals:
            return
        operations = [*additions, *removals, CommitOperationAdd(CARD, card.encode())]
        message = f"{self.folder}: {', '.join(folder.name for folder in new) or 'remove what is superseded'}"
        with hub_errors(self.url, passing=BETWEEN_COMMITS):
            hub_api().create_commit(self.repository, operations, commit_message=message, parent_commit=self._revision)

    def _files(self) -> list[str]:
        """The paths in the repository, which is made where there is none, at its newest commit."""
        with hub_errors(self.url):
            api = hub_api()
            # Makes sure of the token too: to a wrong one, a private repository looks like none.
            api.create_repo(self.repository, private=True, exist_ok=True)
        self.refuse_public()
        with hub_errors(self.url):
            self._revision = api.repo_info(self.repository).sha
            return api.list_repo_files(self.repository, revision=self._revision)

    def refuse_public(self) -> None:
        """Raise StoreError where the repository is there and public, and the URL does not say that it may be."""
        if not self.may_be_public:
            refuse_public(self.repository, f"write {PUBLIC_HUB}... for {HUB}... in `hub`")

    def _step(self, path: str) -> int | None:
        parts = path.split("/")
        return checkpoints.step_of(parts[1]) if parts[0] == self.folder and len(parts) > 2 else None

    def _whole(self, files: Sequence[str]) -> set[int]:
        return {step for path in files if path.endswith(f"/{MANIFEST}") and (step := self._step(path)) is not None}

    def _has(self, step: int, folder: Path, files: Sequence[str]) -> bool:
        if step not in self._whole(files):
            return False
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as temporary:
            self._download(step, MANIFEST, Path(temporary))
            return _same(Path(temporary) / MANIFEST, folder / MANIFEST)


def hub_api() -> "HfApi":
    """The client of the Hub with HF_TOKEN; raises StoreError where there is none."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    token = os.environ.get("HF_TOKEN")
    if not token:
        raise StoreError("HF_TOKEN is not set: export a token that may write to the Hub")
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)


def refuse_public(repository: str, told: str) -> None:
    """Raise StoreError where `repository` is there and public; `told` says how one allows that."""
    from huggingface_hub.errors import RepositoryNotFoundError

    with hub_errors(repository):
        try:
            if hub_api().repo_info(repository).private:
                return
        except RepositoryNotFoundError:
            return
    raise StoreError(
        f"{repository} is public, and what would be put there holds the names of participants and the texts of the "
        f"training: make it private, or, where everybody may see them, {told}"
    )


@contextmanager
def hub_errors(where: str, passing: Collection[int] = ()) -> Iterator[None]:
    """Turn what the client raises into StoreError with the server's answer and without the token.

    The answers in `passing` may be others when it is tried again, besides those that always may.
    """
    import httpx
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except (httpx.HTTPError, HFValidationError, RuntimeError, OSError) as error:
        chain: list[BaseException] = [error]
        while chain[-1].__cause__ is not None:
            chain.append(chain[-1].__cause__)
        responses = [getattr(link, "response", None) for link in chain]
        answers = [response.status_code for response in responses if response is not None]
        said = next((lines[0] for link in reversed(chain) if (lines := str(link).strip().splitlines())), repr(error))
        said += "".join(f" ({link.server_message})" for link in chain if isinstance(link, HfHubHTTPError))
        message = f"{where}: {without_token(said)}"
        lost = any(isinstance(link, httpx.TransportError | ConnectionError | TimeoutError) for link in chain)
        if lost or (answers and (answers[0] in (408, 429, _STALE, *passing) or 500 <= answers[0] != _FULL)):
            raise PassingFault(message) from None
        raise StoreError(message) from None


def without_token(text: str) -> str:
    """`text` without the value of HF_TOKEN and without the queries of addresses, which may be signed."""
    token = os.environ.get("HF_TOKEN")
    return re.sub(r"\?[^\s'\"]+", "?...", text.replace(token, "***") if token else text)


def _step(folder: Path) -> int:
    step = checkpoints.step_of(folder.name)
    assert step is not None
    return step


def _copy(source: Path | UPath, target: Path | UPath) -> None:
    with source.open("rb") as stream:
        _put(target, lambda out: shutil.copyfileobj(stream, out, 1 << 20))


def _put(target: Path | UPath, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file whole; object stores put whole objects anyway."""
    if isinstance(target, Path):
        files.write_atomic(target, write)
    else:
        with target.open("wb") as stream:
            write(stream)


def _is_there(path: Path | UPath) -> bool:
    """As `exists()`, which says of a store out of reach that nothing is there."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _same(one: Path | UPath, other: Path | UPath) -> bool:
    return _is_there(one) and one.read_bytes() == other.read_bytes()
