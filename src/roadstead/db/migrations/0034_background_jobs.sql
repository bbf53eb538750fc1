-- Background jobs: what takes longer than a request, with what came of it; and how much is said by and to devices.

-- One timer for each state, as in export_job. READY means that it was done, EXPIRED that its files are gone besides.
CREATE TABLE background_job (
    tenant_id      integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id             uuid NOT NULL,
    space_id       uuid NOT NULL,
    kind           text NOT NULL,              -- names its handler
    name           text NOT NULL,
    parameters     jsonb NOT NULL,
    input          jsonb NOT NULL,             -- what was asked for, as it is shown
    resource_type  text NOT NULL,              -- what it is about
    resource_id    uuid NOT NULL,
    alone          boolean NOT NULL,           -- one of its kind at a time about its resource
    email          text,                       -- who is told of its end
    callback_url   text,
    requested_by   uuid NOT NULL,
    requested_as   text NOT NULL,              -- kind of the actor
    status         text NOT NULL CHECK (status IN ('PENDING', 'RUNNING', 'READY', 'FAILED', 'EXPIRED')),
    created_at     timestamptz NOT NULL,
    started_at     timestamptz,
    completed_at   timestamptz,
    expires_at     timestamptz,
    size_bytes     bigint,
    reading_count  bigint NOT NULL DEFAULT 0,  -- how far it is
    total          bigint,                     -- how far it has to go, once that is known
    output         jsonb NOT NULL DEFAULT '{}',
    error          text,
    tries          integer NOT NULL DEFAULT 0,
    lease          uuid,                       -- of the worker that runs it or ran it last; names its files
    due_at         timestamptz NOT NULL,
    notice_due_at  timestamptz,                -- null: nobody has to be told any more
    notice_tries   integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, space_id) REFERENCES space ON DELETE CASCADE
);
CREATE UNIQUE INDEX background_job_alone ON background_job (tenant_id, kind, resource_id)
    WHERE alone AND status IN ('PENDING', 'RUNNING');
CREATE INDEX background_job_created ON background_job (tenant_id, space_id, created_at, id);
CREATE INDEX background_job_due ON background_job (due_at);
CREATE INDEX background_job_notice ON background_job (notice_due_at)
    WHERE notice_due_at IS NOT NULL AND status IN ('READY', 'FAILED', 'EXPIRED');
CALL secure_table('background_job');

-- How much was said, by day; a device that is deleted has been heard all the same. Forgotten after 400 days.
CREATE TABLE payload_count (
    tenant_id  integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    device_id  uuid NOT NULL,         -- zeros: no device's
    day        date NOT NULL,
    kind       text NOT NULL,
    source     text NOT NULL,         -- who, and by which way
    space_id   uuid NOT NULL,
    messages   integer[] NOT NULL,    -- of each hour of the day, 24
    bytes      bigint[] NOT NULL,
    PRIMARY KEY (tenant_id, device_id, day, kind, source)
);
CREATE INDEX payload_count_space ON payload_count (tenant_id, space_id, day);
CREATE INDEX payload_count_day ON payload_count (day);
CALL secure_table('payload_count');
