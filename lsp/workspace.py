"""Open documents, open folders, and the repositories they are in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from lsp.background import in_thread
from lsp.documents import Document
from lsp.lines import Encoding
from lsp.places import Repository, find_repository, path_of, real, uri_of
from lsp.snapshots import Snapshot

_LARGEST = 2**23  # characters; a key in a longer line would take its time


class Workspace:
    """What the editor has open. Documents that are no files of this machine are not followed."""

    def __init__(self, encoding: Encoding, folders: Iterable[str] = ()) -> None:
        self.folders = list(folders)
        self.too_big: set[Path] = set()
        """Open documents that are not followed: nothing is shown of them."""
        self._encoding = encoding
        self._by_uri: dict[str, tuple[Document, Path]] = {}
        self._by_path: dict[Path, Document] = {}
        self._repositories: dict[Path, Repository | None] = {}

    def open(self, uri: str, version: int, text: str) -> tuple[Document, Path] | None:
        """Take a document, and return it with its real path."""
        path = path_of(uri)
        if path is None:
            return None
        if len(text) > _LARGEST:
            self.too_big.add(path)
            return None
        document = Document(uri, version, text, self._encoding)
        self._by_uri[uri] = document, path
        self._by_path[path] = document
        return document, path

    def close(self, uri: str) -> tuple[Document, Path] | None:
        """Let a document go, and return it if it was there."""
        if (path := path_of(uri)) is not None:
            self.too_big.discard(path)
        known = self._by_uri.pop(uri, None)
        if known is not None and self._by_path.get(known[1]) is known[0]:
            del self._by_path[known[1]]
            for other, at in self._by_uri.values():  # the same file under another name
                if at == known[1]:
                    self._by_path[at] = other
        return known

    def document(self, uri: str) -> tuple[Document, Path] | None:
        """Return an open document with its real path."""
        return self._by_uri.get(uri)

    def at(self, path: Path) -> Document | None:
        """Return the open document of a real path."""
        return self._by_path.get(path)

    def path_of(self, uri: str) -> Path | None:
        """Return the real path of an address."""
        known = self._by_uri.get(uri)
        return known[1] if known else path_of(uri)

    def uri_of(self, path: Path) -> str:
        """Return the editor's address of a real path."""
        known = self._by_path.get(path)
        return known.uri if known else uri_of(path, self.folders)

    def open_paths(self) -> tuple[Path, ...]:
        """Return the real paths of open documents."""
        return tuple(self._by_path)

    def has(self, repository: Repository) -> bool:
        """Tell whether something of a repository is open."""
        root = repository.root
        folders = self.folder_paths()
        return any(root.is_relative_to(f) or f.is_relative_to(root) for f in folders) or any(
            path.is_relative_to(root) for path in self._by_path
        )

    def folder_paths(self) -> list[Path]:
        """Return the real paths of the open folders."""
        return [path for folder in self.folders if (path := path_of(folder)) is not None]

    async def repository_around(self, folder: Path) -> Repository | None:
        """Return the work tree around a real folder; git is asked once for each."""
        if folder not in self._repositories:
            self._repositories[folder] = await in_thread(partial(find_repository, folder))
        return self._repositories[folder]

    def forget_repositories(self) -> None:
        """Have git asked again: one may have been made, or cloned inside another."""
        self._repositories.clear()

    def snapshot(self, repository: Repository, is_of: Callable[[Path], bool]) -> Snapshot:
        """Return the open documents of a repository as they are."""
        documents = {
            name: document
            for path, document in self._by_path.items()
            if is_of(path) and (name := repository.path_of(path)) is not None
        }
        return Snapshot(documents)

    def below(self, repository: Repository) -> tuple[Path, ...]:
        """Return the open folders inside a repository; nothing where all of it is open, or none."""
        folders = self.folder_paths()
        if any(repository.root.is_relative_to(folder) for folder in folders):
            return ()
        return tuple(folder for folder in folders if repository.holds(folder))


def folder_of(path: Path) -> Path:
    """Return the real folder that a file is in, or a folder itself."""
    return path if path.is_dir() else real(path.parent)
