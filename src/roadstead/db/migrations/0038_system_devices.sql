-- When each system looks at the devices below it again: one row for each device of that class, made and taken away here.

CREATE TABLE system_timer (
    tenant_id   integer NOT NULL,
    device_id   uuid NOT NULL,
    parent_id   uuid,                            -- that of the device: what lies lower comes first
    interval_s  integer NOT NULL,
    due_at      timestamptz NOT NULL,            -- a multiple of the interval since 1970
    said        jsonb NOT NULL DEFAULT '{}',     -- {path: [value, at ms]} of the last time: its state follows it a little later
    PRIMARY KEY (tenant_id, device_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 50);
CREATE INDEX system_timer_due ON system_timer (due_at, tenant_id);
CREATE INDEX system_timer_turn ON system_timer (tenant_id, due_at, device_id);
CREATE INDEX system_timer_parent ON system_timer (tenant_id, parent_id, due_at);
CALL secure_table('system_timer');

CREATE FUNCTION next_interval(at timestamptz, interval_s integer) RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE
    RETURN to_timestamp((floor(extract(epoch FROM at) / interval_s) + 1) * interval_s);

CREATE FUNCTION time_new_systems() RETURNS trigger LANGUAGE plpgsql SET search_path = roadstead AS $$
BEGIN
    INSERT INTO system_timer (tenant_id, device_id, parent_id, interval_s, due_at)
    SELECT d.tenant_id, d.id, d.parent_id, interval_s, next_interval(now(), interval_s)
    FROM added d, coalesce(d.system_interval, 30) AS interval_s WHERE d.device_class = 'system';
    RETURN NULL;
END
$$;
CREATE TRIGGER time_new AFTER INSERT ON device REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION time_new_systems();

CREATE FUNCTION time_changed_system() RETURNS trigger LANGUAGE plpgsql SET search_path = roadstead AS $$
BEGIN
    IF NEW.device_class IS DISTINCT FROM 'system' THEN
        DELETE FROM system_timer WHERE tenant_id = NEW.tenant_id AND device_id = NEW.id;
        RETURN NULL;
    END IF;
    INSERT INTO system_timer AS known (tenant_id, device_id, parent_id, interval_s, due_at)
    SELECT NEW.tenant_id, NEW.id, NEW.parent_id, interval_s, next_interval(now(), interval_s)
    FROM coalesce(NEW.system_interval, 30) AS interval_s
    ON CONFLICT (tenant_id, device_id) DO UPDATE SET
        parent_id = excluded.parent_id,
        interval_s = excluded.interval_s,
        due_at = CASE known.interval_s WHEN excluded.interval_s THEN known.due_at ELSE excluded.due_at END;
    RETURN NULL;
END
$$;
CREATE TRIGGER time_changed AFTER UPDATE OF device_class, system_interval, parent_id ON device
    FOR EACH ROW WHEN (
        (OLD.device_class = 'system' OR NEW.device_class = 'system')
        AND ROW(OLD.device_class, OLD.system_interval, OLD.parent_id)
            IS DISTINCT FROM ROW(NEW.device_class, NEW.system_interval, NEW.parent_id)
    )
    EXECUTE FUNCTION time_changed_system();

INSERT INTO system_timer (tenant_id, device_id, parent_id, interval_s, due_at)
SELECT d.tenant_id, d.id, d.parent_id, interval_s, next_interval(now(), interval_s)
FROM device d, coalesce(d.system_interval, 30) AS interval_s WHERE d.device_class = 'system';
