-- Events that somebody works on: their application, their subject, what was done about them, and tags to find them by.

ALTER TABLE event
    ADD COLUMN space_id         uuid,       -- where it belongs, kept as it was; null: there is no such place any more
    ADD COLUMN subject          text,       -- null: its message says it
    ADD COLUMN is_error         boolean NOT NULL DEFAULT false,    -- bad, and not as bad as critical
    ADD COLUMN created_by_name  text,
    ADD COLUMN updated_at       timestamptz,                       -- null: never changed
    ADD COLUMN tracks_tags      boolean NOT NULL DEFAULT true,     -- its time line says which tags were changed
    ADD COLUMN notes            jsonb NOT NULL DEFAULT '{}',
    ADD CHECK (NOT is_error OR severity = 'CRITICAL');
UPDATE event e SET space_id = coalesce(
    (SELECT d.space_id FROM device d WHERE d.tenant_id = e.tenant_id AND d.id = e.device_id),
    (SELECT s.id FROM space s WHERE s.tenant_id = e.tenant_id AND s.is_default)
);
CREATE INDEX event_space ON event (tenant_id, space_id, occurred_at, id) WHERE status IS NOT NULL;
CREATE INDEX event_space_status ON event (tenant_id, space_id, status, occurred_at, id) WHERE status IS NOT NULL;
CREATE INDEX alert_event ON alert (tenant_id, event_id);

CREATE TABLE event_tag (
    tenant_id  integer NOT NULL,
    event_id   uuid NOT NULL,
    key        text COLLATE "C" NOT NULL,
    value      text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, event_id, key),
    FOREIGN KEY (tenant_id, event_id) REFERENCES event (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX event_tag_value ON event_tag (tenant_id, key, value, event_id);
CALL secure_table('event_tag');

-- The time line of an event: its newest entries.
CREATE TABLE event_update (
    tenant_id   integer NOT NULL,
    event_id    uuid NOT NULL,
    at          timestamptz NOT NULL,
    id          uuid NOT NULL,
    source      text NOT NULL,
    actor_id    uuid,              -- null: the platform itself
    actor_name  text NOT NULL,
    comment     text,
    data        jsonb,
    changed     jsonb NOT NULL,    -- what it was before and what it is now, by field
    PRIMARY KEY (tenant_id, event_id, at, id),
    FOREIGN KEY (tenant_id, event_id) REFERENCES event (tenant_id, id) ON DELETE CASCADE
);
CALL secure_table('event_update');

-- When devices came and went, with what their sessions have carried where somebody has counted it.
ALTER TABLE device_connection
    ADD COLUMN address   text NOT NULL DEFAULT '',
    ADD COLUMN received  bigint,
    ADD COLUMN sent      bigint;
