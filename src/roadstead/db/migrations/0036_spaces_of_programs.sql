-- Spaces as programs of the Losant dialect keep them: a name in URLs, globals, a readme, archives by the day.

ALTER TABLE space
    ADD COLUMN updated_at     timestamptz,
    ADD COLUMN endpoint_slug  text,
    ADD COLUMN archive        jsonb,           -- what of a day goes into the archive; null: nothing by itself
    ADD COLUMN archived_until date,            -- days before this one are in the archive, or were not wanted there
    ADD COLUMN deleted_at     timestamptz;     -- what was in it is on its way out; it is not there for anybody
UPDATE space SET updated_at = created_at;
ALTER TABLE space ALTER COLUMN updated_at SET NOT NULL, ALTER COLUMN updated_at SET DEFAULT now();
CREATE UNIQUE INDEX space_endpoint_slug ON space (endpoint_slug);
CREATE INDEX space_archive ON space (archived_until) WHERE archive IS NOT NULL;

-- Unique over the whole platform, because URLs are; a tenant may learn that one is taken, and nothing else.
CREATE FUNCTION endpoint_slug_taken(wanted text, but uuid) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = roadstead
    RETURN EXISTS (SELECT FROM space WHERE endpoint_slug = wanted AND id IS DISTINCT FROM but);

-- Values that the programs of a space share.
CREATE TABLE space_global (
    tenant_id    integer NOT NULL,
    space_id     uuid NOT NULL,
    key          text NOT NULL,
    value        text NOT NULL,                -- JSON as it was written
    cloud_only   boolean NOT NULL,
    description  text,
    position     integer NOT NULL,
    PRIMARY KEY (tenant_id, space_id, key),
    FOREIGN KEY (tenant_id, space_id) REFERENCES space (tenant_id, id) ON DELETE CASCADE
);
CALL secure_table('space_global');

CREATE TABLE space_readme (
    tenant_id        integer NOT NULL,
    space_id         uuid NOT NULL,
    content          text NOT NULL,
    updated_at       timestamptz NOT NULL,
    updated_by       uuid NOT NULL,
    updated_by_kind  text NOT NULL,
    PRIMARY KEY (tenant_id, space_id),
    FOREIGN KEY (tenant_id, space_id) REFERENCES space (tenant_id, id) ON DELETE CASCADE
);
CALL secure_table('space_readme');

-- Bundles that were put into a space, and what came of it.
CREATE TABLE space_import (
    tenant_id      integer NOT NULL,
    id             uuid NOT NULL,
    space_id       uuid NOT NULL,
    source         text NOT NULL,              -- a file, or another space
    from_space_id  uuid,
    conflicts      text NOT NULL,
    kinds          text[],                     -- what was wanted; null: everything
    dry_run        boolean NOT NULL,
    email          text,
    callback_url   text,
    job_id         uuid,                       -- null: somebody waited for it
    requested_by   uuid NOT NULL,
    requested_as   text NOT NULL,
    status         text NOT NULL CHECK (status IN ('QUEUED', 'RUNNING', 'DONE', 'FAILED')),
    queued_at      timestamptz NOT NULL,
    started_at     timestamptz,
    completed_at   timestamptz,
    error          text,
    problems       jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, space_id) REFERENCES space (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX space_import_queued ON space_import (tenant_id, space_id, queued_at, id);
CALL secure_table('space_import');

-- How many devices came and went, by day (UTC). Of those that went before this was counted, nothing is known.
CREATE TABLE device_count (
    tenant_id  integer NOT NULL,
    space_id   uuid NOT NULL,                  -- kept when the space goes: its organization had these devices
    day        date NOT NULL,
    created    integer NOT NULL,
    deleted    integer NOT NULL,
    PRIMARY KEY (tenant_id, space_id, day)
);
CALL secure_table('device_count');
INSERT INTO device_count (tenant_id, space_id, day, created, deleted)
SELECT tenant_id, space_id, (created_at AT TIME ZONE 'UTC')::date, count(*), 0 FROM device GROUP BY 1, 2, 3;

CREATE FUNCTION count_new_devices() RETURNS trigger LANGUAGE plpgsql SET search_path = roadstead AS $$
BEGIN
    INSERT INTO device_count (tenant_id, space_id, day, created, deleted)
    SELECT d.tenant_id, d.space_id, (now() AT TIME ZONE 'UTC')::date, count(*), 0 FROM added d GROUP BY 1, 2
    ON CONFLICT (tenant_id, space_id, day) DO UPDATE SET created = device_count.created + excluded.created;
    RETURN NULL;
END
$$;
CREATE TRIGGER count_new AFTER INSERT ON device REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_new_devices();

-- What goes with its whole organization is not counted.
CREATE FUNCTION count_gone_devices() RETURNS trigger LANGUAGE plpgsql SET search_path = roadstead AS $$
BEGIN
    INSERT INTO device_count (tenant_id, space_id, day, created, deleted)
    SELECT d.tenant_id, d.space_id, (now() AT TIME ZONE 'UTC')::date, 0, count(*)
    FROM gone d JOIN tenant USING (tenant_id) GROUP BY 1, 2
    ON CONFLICT (tenant_id, space_id, day) DO UPDATE SET deleted = device_count.deleted + excluded.deleted;
    RETURN NULL;
END
$$;
CREATE TRIGGER count_gone AFTER DELETE ON device REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION count_gone_devices();

CREATE FUNCTION forget_device_counts() RETURNS trigger LANGUAGE plpgsql SET search_path = roadstead AS $$
BEGIN
    DELETE FROM device_count WHERE tenant_id = OLD.tenant_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER forget_device_counts AFTER DELETE ON tenant FOR EACH ROW EXECUTE FUNCTION forget_device_counts();
