-- Files: the keys that sign their URLs, and uploads on their way; exports of readings.

CREATE TABLE file_key (
    tenant_id   integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id          uuid NOT NULL,
    secret      bytea NOT NULL,           -- sealed
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CALL secure_table('file_key');

-- A file that somebody was asked to bring. The row goes when a room makes the file its own, or when it is due.
CREATE TABLE file_upload (
    tenant_id     integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id            uuid NOT NULL,
    area          text NOT NULL,          -- which room asked for it
    content_type  text NOT NULL,
    max_bytes     bigint NOT NULL,
    wanted_sha256 bytea,                  -- what it must have; null: whatever it has
    attempt       uuid,                   -- names the file: each attempt has its own, so none writes into another
    size_bytes    bigint,                 -- null, as its checksum, until a whole attempt is there
    sha256        bytea,
    created_at    timestamptz NOT NULL,
    due_at        timestamptz NOT NULL,   -- nobody has asked for it by then: row and file are swept
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX file_upload_due ON file_upload (due_at);
CALL secure_table('file_upload');

-- One timer for each state: PENDING may be begun, RUNNING has lost its worker, READY has expired, and a final state may
-- be forgotten, each from due_at on.
CREATE TABLE export_job (
    tenant_id         integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id                uuid NOT NULL,
    scope_type        text NOT NULL CHECK (scope_type IN ('SITE', 'DEVICE', 'COMPONENT', 'SENSOR')),
    scope_id          uuid NOT NULL,
    from_at           timestamptz NOT NULL,
    to_at             timestamptz NOT NULL,
    includes          text[] NOT NULL,
    format            text NOT NULL CHECK (format IN ('PARQUET', 'CSV', 'NDJSON')),
    status            text NOT NULL DEFAULT 'PENDING'
                      CHECK (status IN ('PENDING', 'RUNNING', 'READY', 'FAILED', 'EXPIRED', 'CANCELLED')),
    requested_by      uuid NOT NULL,
    requested_as      text NOT NULL,      -- kind of the actor
    created_at        timestamptz NOT NULL,
    started_at        timestamptz,
    completed_at      timestamptz,
    expires_at        timestamptz,
    size_bytes        bigint,
    reading_count     bigint NOT NULL DEFAULT 0,   -- while it runs: how far it is
    annotation_count  bigint NOT NULL DEFAULT 0,
    error             text,
    tries             integer NOT NULL DEFAULT 0,
    lease             uuid,               -- of the worker that runs it or ran it last; names its file
    due_at            timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX export_job_created ON export_job (tenant_id, created_at, id);
CREATE INDEX export_job_status ON export_job (tenant_id, status, created_at, id);
CREATE INDEX export_job_scope ON export_job (tenant_id, scope_id, created_at, id);
CREATE INDEX export_job_requested ON export_job (tenant_id, requested_by, created_at, id);
CREATE INDEX export_job_due ON export_job (due_at);
CALL secure_table('export_job');
