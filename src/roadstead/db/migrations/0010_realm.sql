-- The identity provider of the Lightelligence dialect: who has signed in with which browser, and what programs were given.

ALTER TABLE realm_key ADD COLUMN signs_from timestamptz;
UPDATE realm_key SET signs_from = created_at;
ALTER TABLE realm_key ALTER COLUMN signs_from SET NOT NULL;

-- Somebody has signed in to the realm. In each tenant that they enter with it there is a row in session of the same id.
CREATE TABLE realm_session (
    id                uuid PRIMARY KEY,    -- the session_state of tokens
    person_id         uuid REFERENCES person ON DELETE CASCADE,    -- null: an application by itself
    cookie_hash       bytea UNIQUE,        -- of what the browser carries
    organization_id   uuid,                -- the tenant that was chosen last
    authenticated_at  timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    revoked_at        timestamptz
);
CREATE INDEX realm_session_person ON realm_session (person_id) WHERE revoked_at IS NULL;
CREATE INDEX realm_session_expiry ON realm_session (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON realm_session TO roadstead_system;

-- What a browser carries from the realm to a program, which gets tokens for it, once.
CREATE TABLE authorization_code (
    code_hash         bytea PRIMARY KEY,
    session_id        uuid NOT NULL REFERENCES realm_session ON DELETE CASCADE,
    client_id         text NOT NULL,
    redirect_uri      text NOT NULL,
    organization_id   uuid,                -- null: for no tenant
    scope             text NOT NULL,
    nonce             text,
    challenge         text,                -- of PKCE
    challenge_method  text,
    expires_at        timestamptz NOT NULL,
    used_at           timestamptz
);
CREATE INDEX authorization_code_session ON authorization_code (session_id);
CREATE INDEX authorization_code_expiry ON authorization_code (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON authorization_code TO roadstead_system;

-- What a program renews its tokens with.
CREATE TABLE realm_token (
    token_hash       bytea PRIMARY KEY,
    session_id       uuid NOT NULL REFERENCES realm_session ON DELETE CASCADE,
    client_id        text NOT NULL,
    organization_id  uuid,
    scope            text NOT NULL,
    expires_at       timestamptz NOT NULL,
    used_at          timestamptz
);
CREATE INDEX realm_token_session ON realm_token (session_id);
CREATE INDEX realm_token_expiry ON realm_token (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON realm_token TO roadstead_system;
