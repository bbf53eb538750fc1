-- Timers: when something shall happen, what, and what came of it the last time.

CREATE TABLE timer (
    tenant_id      integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id             uuid NOT NULL,
    name           text NOT NULL,
    schedule       jsonb NOT NULL,
    sealed         bytea NOT NULL,            -- what is done: addresses and headers hold secrets
    notes          jsonb NOT NULL DEFAULT '{}',
    running        boolean NOT NULL DEFAULT false,
    due_at         timestamptz,               -- null: never again, or not until it is started
    lease          uuid,                      -- of the worker that fires it
    leased_until   timestamptz,
    tries          smallint NOT NULL DEFAULT 0,
    last_run_at    timestamptz,
    last_status    integer,                   -- what a server has answered
    last_answer    text,
    last_error     text,
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX timer_due ON timer (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX timer_created ON timer (tenant_id, created_at, id);
CALL secure_table('timer');
