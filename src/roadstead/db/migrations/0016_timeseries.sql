-- Series of a tenant that no device reports, and files that are made of points.

CREATE TABLE timeseries (
    tenant_id   integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id          uuid NOT NULL,             -- its points lie in the telemetry store under it
    name        text NOT NULL,
    data_type   jsonb NOT NULL,            -- a small JSON Schema
    metadata    jsonb,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX timeseries_created ON timeseries (tenant_id, created_at, id);
CREATE INDEX timeseries_metadata ON timeseries USING gin (metadata jsonb_path_ops);
CALL secure_table('timeseries');

-- One timer for each state, as `export_job` has it.
CREATE TABLE points_job (
    tenant_id      integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id             uuid NOT NULL,
    form           text NOT NULL,          -- what the file is to look like: who spells it
    base_url       text NOT NULL,          -- what URLs in the file begin with
    wanted         jsonb NOT NULL,         -- which series, of which time, boiled down how
    status         text NOT NULL DEFAULT 'PENDING'
                   CHECK (status IN ('PENDING', 'RUNNING', 'READY', 'FAILED', 'EXPIRED')),
    created_at     timestamptz NOT NULL,
    started_at     timestamptz,
    completed_at   timestamptz,
    expires_at     timestamptz,
    size_bytes     bigint,
    reading_count  bigint NOT NULL DEFAULT 0,
    error          text,
    tries          integer NOT NULL DEFAULT 0,
    lease          uuid,                   -- of the worker that runs it or ran it last; names its file
    due_at         timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX points_job_due ON points_job (due_at);
CALL secure_table('points_job');
