-- Schema 1 for SQLite. Times are microseconds since 1970 in UTC.

CREATE TABLE oh_schema (
    version INTEGER PRIMARY KEY
) STRICT;

-- oh_core::store::MemberRecord: one row for each member.
CREATE TABLE oh_members (
    member TEXT NOT NULL PRIMARY KEY,
    username TEXT,
    access_token TEXT,
    refresh_token TEXT,
    expires_at INTEGER,
    epoch INTEGER NOT NULL,
    authorized_at INTEGER NOT NULL,
    deauthorized_at INTEGER,
    confirmed_at INTEGER NOT NULL,
    refresh_holder TEXT,
    refresh_until INTEGER,
    refresh_unanswered INTEGER NOT NULL,
    version INTEGER NOT NULL,
    CHECK ((access_token IS NULL) = (refresh_token IS NULL)),
    CHECK ((access_token IS NULL) = (expires_at IS NULL)),
    CHECK ((refresh_holder IS NULL) = (refresh_until IS NULL))
) STRICT, WITHOUT ROWID;

-- oh_core::deauth::EventRecord: one row for each departure. member is NULL once it is done.
-- waits_until: the event cannot be leased before this time; NULL while it is in the queue.
-- tokens_destroyed and requeued_at: oh_core::deauth::TokenProgress. Only events that were stale once
-- have requeued_at.
CREATE TABLE oh_events (
    id TEXT NOT NULL PRIMARY KEY,
    member TEXT,
    pseudonym TEXT NOT NULL,
    erasure TEXT NOT NULL,
    discovery TEXT NOT NULL,
    left_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NOT NULL,
    waits_until INTEGER,
    lease_holder TEXT,
    lease_until INTEGER,
    settled_at INTEGER,
    tokens_destroyed INTEGER NOT NULL DEFAULT 0,
    requeued_at INTEGER,
    CHECK (state <> 'pending' OR member IS NOT NULL),
    CHECK ((lease_holder IS NULL) = (lease_until IS NULL))
) STRICT;

CREATE INDEX oh_events_queue ON oh_events (received_at, id)
    WHERE state = 'pending' AND waits_until IS NULL;
CREATE INDEX oh_events_waiting ON oh_events (waits_until)
    WHERE state = 'pending' AND waits_until IS NOT NULL;
CREATE INDEX oh_events_of_member ON oh_events (member, received_at, id)
    WHERE state = 'pending';
CREATE INDEX oh_events_leased ON oh_events (member, lease_until)
    WHERE lease_until IS NOT NULL;
CREATE INDEX oh_events_by_state ON oh_events (state, received_at, id);
CREATE INDEX oh_events_by_time ON oh_events (received_at, id);
CREATE INDEX oh_events_by_pseudonym ON oh_events (pseudonym, received_at, id);

-- oh_core::deauth::LedgerLine: append-only, without project member ids.
CREATE TABLE oh_ledger (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL,
    member TEXT NOT NULL,
    at INTEGER NOT NULL,
    step TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    note TEXT
) STRICT;

CREATE INDEX oh_ledger_by_event ON oh_ledger (event, seq);
CREATE INDEX oh_ledger_by_member ON oh_ledger (member, seq);

-- oh_core::deauth::StoredCheckpoint: append-only.
CREATE TABLE oh_checkpoints (
    size INTEGER NOT NULL PRIMARY KEY,
    last_seq INTEGER NOT NULL,
    root TEXT NOT NULL,
    at INTEGER NOT NULL,
    note TEXT NOT NULL,
    tree TEXT NOT NULL
) STRICT;

-- Named locks with the note of the last holder.
CREATE TABLE oh_locks (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL,
    note TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

INSERT INTO oh_schema (version) VALUES (1);
