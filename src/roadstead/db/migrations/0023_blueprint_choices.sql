-- What an enum takes, the people to call about a system, and what projects keep for their programs.

ALTER TABLE blueprint_attribute
    ADD COLUMN choices jsonb,
    ADD COLUMN position bigint GENERATED ALWAYS AS IDENTITY;     -- the order in which they were made

-- Whom to call about a space.
CREATE TABLE space_contact (
    tenant_id   integer NOT NULL,
    id          uuid NOT NULL,
    space_id    uuid NOT NULL,
    name        text NOT NULL,
    email       text,
    phone       text,
    notes       jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, space_id) REFERENCES space (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX space_contact_space ON space_contact (tenant_id, space_id, created_at, id);
CALL secure_table('space_contact');

-- Texts that programs make messages from; nothing here sends them.
CREATE TABLE message_template (
    tenant_id   integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id          uuid NOT NULL,
    name        text NOT NULL,
    medium      text CHECK (medium IN ('EMAIL', 'SMS')),
    subject     text,
    html        text,
    plain       text,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CALL secure_table('message_template');
