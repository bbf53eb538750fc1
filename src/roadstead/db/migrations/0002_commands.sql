-- Commands: what devices are told to do once, and what they answered.

CREATE TABLE command_batch (
    tenant_id            integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id                   uuid NOT NULL,
    type                 text NOT NULL,
    payload              jsonb NOT NULL,
    total                integer NOT NULL,     -- commands that were queued; those of deleted devices are gone
    per_minute           integer,              -- how many may leave a minute; null: all at once
    max_failure_percent  integer,              -- of the total; more, and what has not left stays
    status               text NOT NULL CHECK (status IN ('RUNNING', 'COMPLETED', 'ABORTED', 'CANCELLED')),
    requested_by         uuid NOT NULL,
    created_at           timestamptz NOT NULL,
    completed_at         timestamptz,
    looked_at            timestamptz NOT NULL,    -- when a worker last counted its commands
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX command_batch_running ON command_batch (looked_at) WHERE status = 'RUNNING';
CREATE INDEX command_batch_completed ON command_batch (completed_at) WHERE completed_at IS NOT NULL;
CALL secure_table('command_batch');

CREATE TABLE command (
    tenant_id        integer NOT NULL,
    id               uuid NOT NULL,
    device_id        uuid NOT NULL,
    batch_id         uuid,
    dialect          text NOT NULL,         -- in which API it was asked for
    type             text NOT NULL,
    payload          jsonb NOT NULL,        -- any JSON; an object in the native API
    notes            jsonb NOT NULL DEFAULT '{}',   -- what only one dialect knows, under its name
    status           text NOT NULL
        CHECK (status IN ('PENDING', 'SENT', 'ACKNOWLEDGED', 'SUCCESS', 'FAILED', 'TIMEOUT', 'CANCELLED')),
    result           jsonb,
    error            text,
    requested_by     uuid NOT NULL,
    timeout_s        integer NOT NULL,
    created_at       timestamptz NOT NULL,
    release_at       timestamptz NOT NULL,  -- does not leave before
    expires_at       timestamptz NOT NULL,  -- not sent by then: TIMEOUT
    sent_at          timestamptz,           -- first handed to a session whose device hears it
    sent_session     text,                  -- last handed to this session, for there it is not handed twice
    delivered_at     timestamptz,           -- the device has acknowledged the message
    acknowledged_at  timestamptz,           -- the device has said that it works on it
    completed_at     timestamptz,
    due_at           timestamptz,           -- when a worker looks at it next: release, expiry, timeout; null in the end
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, batch_id) REFERENCES command_batch (tenant_id, id) ON DELETE SET NULL (batch_id),
    CHECK ((due_at IS NULL) = (completed_at IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX command_created ON command (tenant_id, created_at, id);
CREATE INDEX command_device ON command (tenant_id, device_id, created_at, id);
CREATE INDEX command_status ON command (tenant_id, status, created_at, id);
CREATE INDEX command_type ON command (tenant_id, type, created_at, id);
CREATE INDEX command_batch_of ON command (tenant_id, batch_id, created_at, id) WHERE batch_id IS NOT NULL;
CREATE INDEX command_waiting ON command (tenant_id, device_id, created_at, id)
    WHERE status IN ('PENDING', 'SENT') AND delivered_at IS NULL;
CREATE INDEX command_due ON command (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX command_completed ON command (completed_at) WHERE completed_at IS NOT NULL;
CALL secure_table('command');
