-- Tickets and buffers of live streams; mail about events; through which client a person did what.

ALTER TABLE audit_log ADD COLUMN client_id text;     -- of a realm

CREATE TABLE stream_ticket (
    tenant_id   integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    token_hash  bytea NOT NULL UNIQUE,
    sealed      bytea NOT NULL,          -- who asked, and for what
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, token_hash)
);
CREATE INDEX stream_ticket_expires ON stream_ticket (expires_at);
CALL secure_table('stream_ticket');

-- Up to where somebody has listened: a position in the log, see core/streams.
CREATE TABLE stream_buffer (
    tenant_id  integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    name       text COLLATE "C" NOT NULL,
    epoch      text NOT NULL,
    accepted   bigint NOT NULL,
    index      integer NOT NULL,
    facts      bigint NOT NULL,
    seen_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, name)
);
CREATE INDEX stream_buffer_seen ON stream_buffer (seen_at);
CALL secure_table('stream_buffer');

-- Which events of which devices lead to which mail. Where it goes, and whether at all, is said by its channel.
CREATE TABLE mailing (
    tenant_id         integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id                uuid NOT NULL,
    channel_id        uuid NOT NULL,
    subject           text,
    body              text NOT NULL,
    debounce_minutes  double precision,
    event_types       text[] NOT NULL,
    rule_id           uuid,              -- only events of this alert rule
    devices           jsonb,             -- a filter of devices (kernel/filter_json.py); null: all
    notes             jsonb NOT NULL DEFAULT '{}',
    last_sent_at      timestamptz,       -- when the newest event that was not debounced was written down
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, channel_id),
    FOREIGN KEY (tenant_id, channel_id) REFERENCES notification_channel (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX mailing_created ON mailing (tenant_id, created_at DESC, id DESC);
CALL secure_table('mailing');

-- What has led to mail, or would have, were it not so soon after the last one. Outlives its mailing and its event.
CREATE TABLE mailing_hit (
    tenant_id    integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id           uuid NOT NULL,
    mailing_id   uuid NOT NULL,
    event_id     uuid NOT NULL,
    event_type   text NOT NULL,
    device_id    uuid NOT NULL,
    occurred_at  timestamptz NOT NULL,
    data         jsonb,
    debounced    boolean NOT NULL,
    at           timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, mailing_id, event_id)
);
CREATE INDEX mailing_hit_at ON mailing_hit (tenant_id, at DESC, id DESC);
CREATE INDEX mailing_hit_of ON mailing_hit (tenant_id, mailing_id, at DESC, id DESC);
CREATE INDEX mailing_hit_old ON mailing_hit (at);
CALL secure_table('mailing_hit');

ALTER TABLE announcement
    DROP CONSTRAINT announcement_kind_check,
    ADD CONSTRAINT announcement_kind_check CHECK (kind IN ('FIRED', 'ACKNOWLEDGED', 'RESOLVED', 'TEST', 'EVENT'));
