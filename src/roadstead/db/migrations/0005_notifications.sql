-- Channels, what is announced on them, and each delivery.

CREATE TABLE notification_channel (
    tenant_id         integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id                uuid NOT NULL,
    name              text NOT NULL,
    type              text NOT NULL CHECK (type IN ('EMAIL', 'WEBHOOK', 'APPRISE')),
    enabled           boolean NOT NULL,
    config            jsonb NOT NULL,          -- what may be shown
    sealed            bytea,                   -- what may not
    min_severity      text NOT NULL,
    digest_minutes    integer,
    quiet_hours       jsonb,
    last_delivery_at  timestamptz,
    last_error        text,                    -- of the last attempt; NULL when it went well
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    version           integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
);
CREATE INDEX notification_channel_name ON notification_channel (tenant_id, name, id);
CREATE INDEX notification_channel_created ON notification_channel (tenant_id, created_at, id);
CALL secure_table('notification_channel');

CREATE TABLE announcement (
    tenant_id    integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id           uuid NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('FIRED', 'ACKNOWLEDGED', 'RESOLVED', 'TEST')),
    alert_id     uuid,
    event_id     uuid,
    severity     text NOT NULL,
    title        text NOT NULL,
    text         text NOT NULL,
    occurred_at  timestamptz NOT NULL,
    payload      jsonb NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX announcement_created ON announcement (created_at);
CALL secure_table('announcement');

-- A delivery outlives its channel, because it says what became of an alert; it goes with its announcement.
CREATE TABLE delivery (
    tenant_id         integer NOT NULL,
    id                uuid NOT NULL,
    announcement_id   uuid NOT NULL,
    channel_id        uuid NOT NULL,
    alert_id          uuid,
    status            text NOT NULL DEFAULT 'PENDING' CHECK (status IN ('PENDING', 'SENT', 'FAILED', 'CANCELLED')),
    in_digest         boolean NOT NULL DEFAULT false,
    digest_id         uuid,                    -- the digest it was put into; the same again at each attempt
    held              boolean NOT NULL DEFAULT false,  -- by quiet hours
    attempts          integer NOT NULL DEFAULT 0,
    due_at            timestamptz NOT NULL,    -- PENDING: not before this; while it is being sent, when that has failed
    lease             uuid,                    -- of whoever is sending it
    last_status_code  integer,
    error             text,
    created_at        timestamptz NOT NULL,
    sent_at           timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, announcement_id, channel_id),
    FOREIGN KEY (tenant_id, announcement_id) REFERENCES announcement ON DELETE CASCADE
);
CREATE INDEX delivery_waiting ON delivery (tenant_id, channel_id, due_at) WHERE status = 'PENDING';
CREATE INDEX delivery_channel ON delivery (tenant_id, channel_id, created_at DESC, id DESC);
CREATE INDEX delivery_alert ON delivery (tenant_id, alert_id, created_at DESC, id DESC) WHERE alert_id IS NOT NULL;
CALL secure_table('delivery');
