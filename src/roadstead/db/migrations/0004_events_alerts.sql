-- What has happened, the rules that watch readings, and the alerts they raise.
-- Ids of devices, sensors and sites are kept as they were: history outlives what it speaks of.

CREATE TABLE event (
    tenant_id        integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id               uuid NOT NULL,
    type             text COLLATE "C" NOT NULL,
    source           text NOT NULL,
    severity         text NOT NULL CHECK (severity IN ('INFO', 'WARNING', 'CRITICAL')),
    message          text NOT NULL,
    device_id        uuid,
    component_id     uuid,
    sensor_id        uuid,
    site_id          uuid,
    occurred_at      timestamptz NOT NULL,
    data             jsonb,
    status           text CHECK (status IN ('ACTIVE', 'ACKNOWLEDGED', 'RESOLVED')),    -- null: nobody needs to act on it
    acknowledged_at  timestamptz,
    acknowledged_by  uuid,
    resolved_at      timestamptz,
    resolved_by      uuid,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX event_occurred ON event (tenant_id, occurred_at, id);
CREATE INDEX event_type ON event (tenant_id, type, occurred_at, id);
CREATE INDEX event_source ON event (tenant_id, source, occurred_at, id);
CREATE INDEX event_severity ON event (tenant_id, severity, occurred_at, id);
CREATE INDEX event_device ON event (tenant_id, device_id, occurred_at, id);
CREATE INDEX event_sensor ON event (tenant_id, sensor_id, occurred_at, id);
CREATE INDEX event_site ON event (tenant_id, site_id, occurred_at, id);
CALL secure_table('event');

-- The words of type and message, for text search: see device_word for why they lie in rows.
CREATE TABLE event_word (
    tenant_id  integer NOT NULL,
    word       text COLLATE "C" NOT NULL,
    event_id   uuid NOT NULL,
    PRIMARY KEY (tenant_id, word, event_id),
    FOREIGN KEY (tenant_id, event_id) REFERENCES event (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX event_word_event ON event_word (tenant_id, event_id, word);
CALL secure_table('event_word');

-- Words are what stands between spaces and ASCII punctuation; `events.words_of` cuts a search in the same way.
CREATE FUNCTION index_new_events() RETURNS trigger LANGUAGE plpgsql SET search_path = roadstead AS $$
BEGIN
    INSERT INTO event_word (tenant_id, word, event_id)
    SELECT DISTINCT e.tenant_id, left(w, 64), e.id
    FROM added e, regexp_split_to_table(lower(e.type || ' ' || e.message), '[\s!-/:-@\[-`{-~]+') w WHERE w <> '';
    RETURN NULL;
END
$$;
CREATE TRIGGER index_new AFTER INSERT ON event REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION index_new_events();

CREATE TABLE alert_rule (
    tenant_id         integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id                uuid NOT NULL,
    name              text NOT NULL,
    description       text,
    enabled           boolean NOT NULL,
    severity          text NOT NULL CHECK (severity IN ('INFO', 'WARNING', 'CRITICAL')),
    scope             jsonb NOT NULL,
    condition         jsonb NOT NULL,
    cooldown_s        integer NOT NULL,
    auto_resolve      boolean NOT NULL,
    channel_ids       uuid[] NOT NULL,
    message_template  text,
    tags              jsonb NOT NULL,
    last_fired_at     timestamptz NOT NULL DEFAULT 'epoch',    -- epoch: never
    revision          integer NOT NULL DEFAULT 1,    -- of its condition: what was seen under another one means nothing
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    version           integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, name)
);
CREATE INDEX alert_rule_name ON alert_rule (tenant_id, name, id);
CREATE INDEX alert_rule_created ON alert_rule (tenant_id, created_at, id);
CREATE INDEX alert_rule_fired ON alert_rule (tenant_id, last_fired_at, id);
CALL secure_table('alert_rule');

CREATE TABLE alert (
    tenant_id        integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id               uuid NOT NULL,
    ordinal          integer NOT NULL,
    event_id         uuid NOT NULL,
    rule_id          uuid NOT NULL,
    rule_name        text NOT NULL,
    severity         text NOT NULL CHECK (severity IN ('INFO', 'WARNING', 'CRITICAL')),
    severity_rank    smallint NOT NULL GENERATED ALWAYS AS
        (CASE severity WHEN 'INFO' THEN 1 WHEN 'WARNING' THEN 2 ELSE 3 END) STORED,
    status           text NOT NULL CHECK (status IN ('ACTIVE', 'ACKNOWLEDGED', 'RESOLVED')),
    device_id        uuid NOT NULL,
    component_id     uuid,
    sensor_id        uuid NOT NULL,
    site_id          uuid,
    value            jsonb,
    threshold        jsonb,
    message          text NOT NULL,
    triggered_at     timestamptz NOT NULL,
    last_seen_at     timestamptz NOT NULL,
    occurrences      integer NOT NULL DEFAULT 1,
    assignee_id      uuid,
    silenced_until   timestamptz,
    acknowledged_at  timestamptz,
    acknowledged_by  uuid,
    resolved_at      timestamptz,
    resolved_by      uuid,
    resolution       text,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, ordinal)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX alert_open ON alert (tenant_id, rule_id, sensor_id) WHERE status <> 'RESOLVED';
CREATE INDEX alert_triggered ON alert (tenant_id, triggered_at, id);
CREATE INDEX alert_status ON alert (tenant_id, status, triggered_at, id);
CREATE INDEX alert_severity ON alert (tenant_id, severity_rank, id);
CREATE INDEX alert_severity_of ON alert (tenant_id, severity, triggered_at, id);
CREATE INDEX alert_rule_of ON alert (tenant_id, rule_id, triggered_at, id);
CREATE INDEX alert_device ON alert (tenant_id, device_id, triggered_at, id);
CREATE INDEX alert_sensor ON alert (tenant_id, sensor_id, triggered_at, id);
CREATE INDEX alert_site ON alert (tenant_id, site_id, triggered_at, id);
CREATE INDEX alert_assignee ON alert (tenant_id, assignee_id, triggered_at, id) WHERE assignee_id IS NOT NULL;
CREATE INDEX alert_silenced ON alert (tenant_id, rule_id, sensor_id, silenced_until) WHERE silenced_until IS NOT NULL;
CALL secure_table('alert');

CREATE TABLE alert_step (
    tenant_id   integer NOT NULL,
    alert_id    uuid NOT NULL,
    at          timestamptz NOT NULL,
    id          uuid NOT NULL,
    action      text NOT NULL,
    actor_id    uuid,              -- null: the platform itself
    actor_name  text NOT NULL,
    comment     text,
    PRIMARY KEY (tenant_id, alert_id, at, id),
    FOREIGN KEY (tenant_id, alert_id) REFERENCES alert (tenant_id, id) ON DELETE CASCADE
);
CALL secure_table('alert_step');

-- What the evaluation of rules remembers of the sensors of a device.
CREATE TABLE rule_state (
    tenant_id  integer NOT NULL,
    device_id  uuid NOT NULL,
    position   bigint NOT NULL,      -- everything on the ACCEPTED stream up to here is in it
    ticks      boolean NOT NULL,     -- time alone can change it
    body       bytea NOT NULL,
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 60);
CREATE INDEX rule_state_ticks ON rule_state (tenant_id, device_id) WHERE ticks;
CALL secure_table('rule_state');
