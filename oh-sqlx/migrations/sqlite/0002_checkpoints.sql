-- Schema 2 for SQLite: checkpoints of the ledger, oh_core::deauth::StoredCheckpoint. Only ever added
-- to. The lines themselves are as they were: those from before are sealed with the first one.

CREATE TABLE oh_checkpoints (
    size INTEGER NOT NULL PRIMARY KEY,
    last_seq INTEGER NOT NULL,
    root TEXT NOT NULL,
    at INTEGER NOT NULL,
    note TEXT NOT NULL,
    tree TEXT NOT NULL
) STRICT;

INSERT INTO oh_schema (version) VALUES (2);
