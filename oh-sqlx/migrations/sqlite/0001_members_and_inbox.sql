-- Schema 1 for SQLite. Times are microseconds since 1970 in UTC.

CREATE TABLE oh_schema (
    version INTEGER PRIMARY KEY
) STRICT;

-- One row for each member: oh_core::store::MemberRecord without the tokens.
CREATE TABLE oh_members (
    member TEXT NOT NULL PRIMARY KEY,
    username TEXT,
    epoch INTEGER NOT NULL,
    authorized_at INTEGER NOT NULL,
    deauthorized_at INTEGER,
    confirmed_at INTEGER NOT NULL,
    refresh_holder TEXT,
    refresh_until INTEGER,
    refresh_unanswered INTEGER NOT NULL,
    version INTEGER NOT NULL,
    CHECK ((refresh_holder IS NULL) = (refresh_until IS NULL))
) STRICT, WITHOUT ROWID;

-- One row for each member who is authorized, in one of these two tables. After tokens were deleted
-- all rows move from one table to the other, piece by piece. The one that is left empty is cleared
-- as a whole, and with it the copies that SQLite leaves in a page when it moves rows to others.
-- Other tables may reference oh_members, and none may reference these.
CREATE TABLE oh_tokens (
    member TEXT NOT NULL PRIMARY KEY,
    access_token TEXT NOT NULL,
    refresh_token TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE oh_tokens_moved (
    member TEXT NOT NULL PRIMARY KEY,
    access_token TEXT NOT NULL,
    refresh_token TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How often one of them was cleared, and how often it must be until no trace of what was deleted is
-- left. Rows move to oh_tokens_moved while the first number is even, and back while it is odd.
CREATE TABLE oh_tokens_moves (
    cleared INTEGER NOT NULL,
    needed INTEGER NOT NULL
) STRICT;

INSERT INTO oh_tokens_moves (cleared, needed) VALUES (0, 0);

-- One row for each member leaving: oh_core::deauth::EventRecord. member is NULL once done.
-- waits_until: not to be looked at before; NULL while in the queue.
-- tokens_destroyed, requeued_at: oh_core::deauth::TokenProgress. requeued_at is only set once stale.
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
CREATE INDEX oh_events_held ON oh_events (member, lease_until)
    WHERE lease_until IS NOT NULL;
CREATE INDEX oh_events_by_state ON oh_events (state, received_at, id);
CREATE INDEX oh_events_by_time ON oh_events (received_at, id);
CREATE INDEX oh_events_by_pseudonym ON oh_events (pseudonym, received_at, id);

-- Only ever added to: oh_core::deauth::LedgerLine. Holds no project member ids.
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

-- Named locks, each held by one process of many for a while, with a note for the next holder.
CREATE TABLE oh_locks (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL,
    note TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

INSERT INTO oh_schema (version) VALUES (1);
