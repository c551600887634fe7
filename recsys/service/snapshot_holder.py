"""The current snapshot of a home, and the thread that replaces it after the home has changed."""

import logging
import threading
from pathlib import Path

from recsys.core.configuration import Configuration
from recsys.core.errors import RecsysError
from recsys.core.process import use_huge_pages
from recsys.models.embedding.serving import encoder_note, seen_by, serving
from recsys.models.embedding.words import table_name as words_table
from recsys.models.features import table_name
from recsys.service.snapshot import Snapshot, load_snapshot
from recsys.storage.lock import is_held
from recsys.storage.store import Store

log = logging.getLogger(__name__)


class SnapshotHolder:
    """Holds the newest snapshot that could be read. `latest` is None until the first one has been read."""

    def __init__(self, home: Path, configuration: Configuration) -> None:
        self.latest: Snapshot | None = None
        self._home, self._configuration = home, configuration
        self._error: RecsysError | None = None
        self._versions: object = None
        self._refreshing = threading.Lock()
        self._closed = threading.Event()

    def current(self) -> Snapshot:
        """Return the newest snapshot. The first call reads it.

        Raises:
            RecsysError: the home contains nothing to serve; see `load_snapshot`.
        """
        if self.latest is None:
            self.refresh()
        if self.latest is None:
            assert self._error is not None
            raise self._error
        return self.latest

    def refresh(self) -> None:
        """Read a new snapshot if the home has changed. The old one stays if that fails."""
        with self._refreshing:
            try:
                versions = self._read_versions()
                if self.latest is not None and versions == self._versions:
                    return
                number = 1 if self.latest is None else self.latest.number + 1
                snapshot = load_snapshot(self._home, self._configuration, number)
                snapshot.warm()
                use_huge_pages()
                if note := encoder_note(self._home, self._configuration):
                    log.warning("%s", note)
            except RecsysError as error:
                self._error = error
                return
            self.latest, self._versions = snapshot, versions

    def watch(self) -> None:
        """Check the home every `service.refresh_s` seconds until `close`.

        A home that a run has locked, or that has changed since the last check, is checked again later: a snapshot of
        it would soon be out of date.
        """
        last_versions = self._versions
        while not self._closed.wait(self._configuration.service.refresh_s):
            if is_held(self._home):
                continue
            try:
                versions = self._read_versions()
                if versions == last_versions != self._versions:
                    self.refresh()
                last_versions = versions
            except RecsysError as error:
                log.debug("%s", error)
            except Exception:
                log.exception("checking the home for changes failed")

    def close(self) -> None:
        """End `watch`."""
        self._closed.set()

    def _read_versions(self) -> tuple[object, ...]:
        """Return the versions of the serving model and of all tables that a snapshot reads."""
        store = Store(self._home, read_only=True)
        serves = serving(self._home, self._configuration)
        seen = seen_by(self._home, serves.model, self._configuration)
        features = {table_name(seen), table_name(self._configuration)}  # search by words may use the configured encoder
        tables = ("products", "images", "labels", *sorted(features), serves.embeddings, words_table(serves.version))
        # A searcher of the index keeps a revision of the table open; compaction deletes old revisions in the end.
        revision = store.revision(serves.embeddings)
        return (store.id, serves, revision, *map(store.version, (*tables, serves.recommendations)))
