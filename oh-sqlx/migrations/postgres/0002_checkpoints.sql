-- Schema 2 for PostgreSQL: checkpoints of the ledger, oh_core::deauth::StoredCheckpoint. Only ever
-- added to. The lines themselves are as they were: those from before are sealed with the first one.

CREATE TABLE oh_checkpoints (
    size BIGINT NOT NULL PRIMARY KEY,
    last_seq BIGINT NOT NULL,
    root TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    note TEXT NOT NULL,
    tree TEXT NOT NULL
);

INSERT INTO oh_schema (version) VALUES (2);
