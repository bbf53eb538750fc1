-- How programs of the Leapcraft dialect name a device, and the tokens they carry.

-- What a device is called outside, or its id; without case and colons, so that a MAC is found however it is spelled.
ALTER TABLE device ADD COLUMN address text COLLATE "C" NOT NULL
    GENERATED ALWAYS AS (replace(lower(coalesce(external_id, id::text)), ':', '')) STORED;
CREATE INDEX device_address ON device (tenant_id, address, id);

-- A token stands for the API key it was given for: it is good as long as both are.
CREATE TABLE client_token (
    tenant_id    integer NOT NULL,
    secret_hash  bytea NOT NULL,
    key_id       uuid NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, secret_hash),
    FOREIGN KEY (tenant_id, key_id) REFERENCES api_key (tenant_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX client_token_secret ON client_token (secret_hash);
CREATE INDEX client_token_key ON client_token (tenant_id, key_id);
CREATE INDEX client_token_expiry ON client_token (expires_at);
CALL secure_table('client_token');
