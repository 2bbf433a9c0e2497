-- Schema 1 for PostgreSQL. Times are microseconds since 1970 in UTC. Ids sort by their bytes,
-- whatever the collation of the database.

CREATE TABLE oh_schema (
    version INTEGER PRIMARY KEY
);

-- oh_core::store::MemberRecord: one row for each member.
CREATE TABLE oh_members (
    member TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    username TEXT,
    access_token TEXT,
    refresh_token TEXT,
    expires_at BIGINT,
    epoch BIGINT NOT NULL,
    authorized_at BIGINT NOT NULL,
    deauthorized_at BIGINT,
    confirmed_at BIGINT NOT NULL,
    refresh_holder TEXT,
    refresh_until BIGINT,
    refresh_unanswered BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    CHECK ((access_token IS NULL) = (refresh_token IS NULL)),
    CHECK ((access_token IS NULL) = (expires_at IS NULL)),
    CHECK ((refresh_holder IS NULL) = (refresh_until IS NULL))
);

-- oh_core::deauth::EventRecord: one row for each departure. member is NULL once it is done.
-- waits_until: the event cannot be leased before this time; NULL while it is in the queue.
-- tokens_destroyed and requeued_at: oh_core::deauth::TokenProgress. Only events that were stale once
-- have requeued_at.
-- Vacuumed early, because dead rows gather at the front of the queue.
CREATE TABLE oh_events (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    member TEXT COLLATE "C",
    pseudonym TEXT COLLATE "C" NOT NULL,
    erasure TEXT NOT NULL,
    discovery TEXT NOT NULL,
    left_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    attempts BIGINT NOT NULL DEFAULT 0,
    due_at BIGINT NOT NULL,
    waits_until BIGINT,
    lease_holder TEXT,
    lease_until BIGINT,
    settled_at BIGINT,
    tokens_destroyed BOOLEAN NOT NULL DEFAULT false,
    requeued_at BIGINT,
    CHECK (state <> 'pending' OR member IS NOT NULL),
    CHECK ((lease_holder IS NULL) = (lease_until IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02);

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
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event TEXT COLLATE "C" NOT NULL,
    member TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    step TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    note TEXT
);

CREATE INDEX oh_ledger_by_event ON oh_ledger (event, seq);
CREATE INDEX oh_ledger_by_member ON oh_ledger (member, seq);

-- oh_core::deauth::StoredCheckpoint: append-only.
CREATE TABLE oh_checkpoints (
    size BIGINT NOT NULL PRIMARY KEY,
    last_seq BIGINT NOT NULL,
    root TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    note TEXT NOT NULL,
    tree TEXT NOT NULL
);

-- Named locks with the note of the last holder.
CREATE TABLE oh_locks (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    until BIGINT NOT NULL,
    note TEXT NOT NULL DEFAULT ''
);

INSERT INTO oh_schema (version) VALUES (1);
