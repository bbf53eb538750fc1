-- The tokens of the Losant dialect: of people, of applications, of devices. What counts is the row, found by its hash.

-- Tokens of a person that were made before are no good.
ALTER TABLE person ADD COLUMN tokens_from timestamptz;

-- A person's, for all their organizations: with a name one that they made for a program, without one of signing in.
CREATE TABLE person_token (
    id            uuid PRIMARY KEY,
    token_hash    bytea NOT NULL UNIQUE,
    person_id     uuid NOT NULL REFERENCES person ON DELETE CASCADE,
    name          text,
    description   text NOT NULL DEFAULT '',
    scopes        text[] NOT NULL,
    default_role  text NOT NULL,
    roles         jsonb NOT NULL DEFAULT '[]',    -- [{organizationId, role}], where it is another
    enabled       boolean NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    expires_at    timestamptz
);
CREATE INDEX person_token_person ON person_token (person_id);
CREATE INDEX person_token_expiry ON person_token (expires_at) WHERE name IS NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON person_token TO roadstead_system;

-- A program's, for one space.
CREATE TABLE space_token (
    tenant_id        integer NOT NULL,
    id               uuid NOT NULL,
    token_hash       bytea NOT NULL UNIQUE,
    space_id         uuid NOT NULL,
    name             text NOT NULL,
    description      text NOT NULL DEFAULT '',
    scopes           text[] NOT NULL,
    grants           text[] NOT NULL,             -- those of whoever made it, or fewer
    enabled          boolean NOT NULL DEFAULT true,
    created_by       uuid NOT NULL,
    created_by_kind  text NOT NULL,
    created_by_name  text NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    expires_at       timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, space_id) REFERENCES space ON DELETE CASCADE
);
CREATE INDEX space_token_space ON space_token (tenant_id, space_id);
CALL secure_table('space_token');

-- A device's, given for an access key.
CREATE TABLE device_token (
    tenant_id      integer NOT NULL,
    token_hash     bytea NOT NULL,
    device_id      uuid NOT NULL,
    access_key_id  uuid NOT NULL,                 -- good for as long as the device may come in with it
    scopes         text[] NOT NULL,
    created_at     timestamptz NOT NULL,
    expires_at     timestamptz,
    PRIMARY KEY (tenant_id, token_hash),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device ON DELETE CASCADE
);
CREATE UNIQUE INDEX device_token_hash ON device_token (token_hash);
CREATE INDEX device_token_device ON device_token (tenant_id, device_id);
CREATE INDEX device_token_expiry ON device_token (expires_at);
CALL secure_table('device_token');
