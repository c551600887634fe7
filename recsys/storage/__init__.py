"""The data of one shop on disk or on an object store: tables, the home folder, locks, compaction."""
