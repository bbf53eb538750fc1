-- Firmware that is registered before anybody knows what it holds, where it may go, and single installations of it.

-- What only one dialect knows of it, under its name.
ALTER TABLE firmware ADD COLUMN notes jsonb NOT NULL DEFAULT '{}';

-- A firmware without content, under the id that it keeps. Goes when it is due and has none yet.
CREATE TABLE firmware_record (
    tenant_id    integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id           uuid NOT NULL,
    name         text NOT NULL,
    label        text,              -- its version, in whatever words
    description  text,
    created_by   uuid NOT NULL,
    created_at   timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX firmware_record_created ON firmware_record (tenant_id, created_at, id);
CREATE INDEX firmware_record_due ON firmware_record (due_at);
CALL secure_table('firmware_record');

-- A token without a device was one to bring content with; now programs may fetch with one, too.
ALTER TABLE firmware_token ADD COLUMN brings boolean NOT NULL DEFAULT false;
UPDATE firmware_token SET brings = device_id IS NULL;

-- Which firmware devices of a type may get into one of their slots.
CREATE TABLE firmware_association (
    tenant_id    integer NOT NULL,
    id           uuid NOT NULL,
    type_id      uuid NOT NULL,
    slot         text NOT NULL,
    firmware_id  uuid NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, type_id, slot, firmware_id),
    FOREIGN KEY (tenant_id, type_id) REFERENCES device_type ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, firmware_id) REFERENCES firmware ON DELETE CASCADE
);
CREATE INDEX firmware_association_firmware ON firmware_association (tenant_id, firmware_id);
CALL secure_table('firmware_association');

CREATE TABLE firmware_installation (
    tenant_id      integer NOT NULL,
    id             uuid NOT NULL,
    device_id      uuid NOT NULL,
    firmware_id    uuid NOT NULL,      -- may be gone when it is over
    slot           text NOT NULL,
    requested_at   timestamptz NOT NULL,
    started_at     timestamptz,
    completed_at   timestamptz,
    rejected_at    timestamptz,
    reject_reason  text,
    sent_session   text,               -- the session that was told last
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device ON DELETE CASCADE
);
CREATE INDEX firmware_installation_device ON firmware_installation (tenant_id, device_id, requested_at, id);
CREATE INDEX firmware_installation_firmware ON firmware_installation (tenant_id, firmware_id)
    WHERE completed_at IS NULL AND rejected_at IS NULL;
CREATE INDEX firmware_installation_waiting ON firmware_installation (tenant_id, device_id, requested_at, id)
    WHERE started_at IS NULL AND completed_at IS NULL AND rejected_at IS NULL;
CALL secure_table('firmware_installation');
