-- The callers of the Leverege dialect: accounts of a project, their tokens, API access, OpenID providers, who is expected.

-- Such a member may do what was given to them on single resources, and nothing besides.
ALTER TABLE membership ADD COLUMN confined boolean NOT NULL DEFAULT false;
CREATE OR REPLACE VIEW held_role WITH (security_invoker = true) AS
SELECT tenant_id, person_id, role_id, assigned_at FROM member_role
UNION ALL
SELECT m.tenant_id, m.person_id, r.id, m.joined_at
FROM membership m JOIN role r ON r.tenant_id = m.tenant_id AND r.standard = standard_role(m.role)
WHERE NOT m.confined
  AND NOT EXISTS (SELECT FROM member_role g WHERE g.tenant_id = m.tenant_id AND g.person_id = m.person_id);

-- What a project knows of a member. Without a row, their name is the address they sign in with.
CREATE TABLE account (
    tenant_id      integer NOT NULL,
    person_id      uuid NOT NULL,
    username       text NOT NULL,
    email          text,
    phone          text,
    metadata       jsonb NOT NULL DEFAULT '{}',
    managed        boolean NOT NULL,    -- the person was made here, with nothing but this account
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    signed_in_at   timestamptz,
    PRIMARY KEY (tenant_id, person_id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES membership ON DELETE CASCADE
);
CREATE UNIQUE INDEX account_username ON account (tenant_id, lower(username));
CALL secure_table('account');

-- What is noted about somebody beside the roles they have on a resource.
CREATE TABLE resource_user (
    tenant_id    integer NOT NULL,
    person_id    uuid NOT NULL,
    resource_id  uuid NOT NULL,
    metadata     jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, resource_id, person_id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES membership ON DELETE CASCADE
);
CREATE INDEX resource_user_person ON resource_user (tenant_id, person_id);
CALL secure_table('resource_user');

-- A bearer token of 24 hours. Its session is one of the realm, entered in the project of the token.
CREATE TABLE id_token (
    token_hash       bytea PRIMARY KEY,
    session_id       uuid NOT NULL REFERENCES realm_session ON DELETE CASCADE,
    organization_id  uuid,              -- null: for no project
    expires_at       timestamptz NOT NULL
);
CREATE INDEX id_token_session ON id_token (session_id);
CREATE INDEX id_token_expiry ON id_token (expires_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON id_token TO roadstead_system;

-- A key and a secret with which servers sign their own tokens.
CREATE TABLE api_access (
    tenant_id     integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id            uuid NOT NULL UNIQUE,
    name          text NOT NULL,
    secret        bytea NOT NULL,       -- sealed: signatures are checked with it
    permissions   jsonb NOT NULL DEFAULT '{}',
    scopes        text[] NOT NULL,      -- the grants of whoever made it, or fewer
    enabled       boolean NOT NULL DEFAULT true,
    created_by    uuid NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    last_used_at  timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CALL secure_table('api_access');

-- An OpenID provider with which the users of a project sign in.
CREATE TABLE oidc_client (
    tenant_id      integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id             uuid NOT NULL,
    name           text NOT NULL,
    alias          text COLLATE "C",
    discovery_url  text NOT NULL,
    client_id      text NOT NULL,
    client_secret  bytea NOT NULL,      -- sealed
    redirect_urls  text[] NOT NULL DEFAULT '{}',    -- where browsers may be sent afterwards
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX oidc_client_alias ON oidc_client (tenant_id, alias) WHERE alias IS NOT NULL;
CALL secure_table('oidc_client');

-- A browser is at a provider and will come back.
CREATE TABLE oidc_sign_in (
    tenant_id    integer NOT NULL,
    state_hash   bytea NOT NULL PRIMARY KEY,
    client_id    uuid NOT NULL,
    verifier     bytea NOT NULL,        -- of PKCE, sealed
    nonce        text NOT NULL,
    success_url  text NOT NULL,
    failure_url  text NOT NULL,
    expires_at   timestamptz NOT NULL,
    FOREIGN KEY (tenant_id, client_id) REFERENCES oidc_client ON DELETE CASCADE
);
CREATE INDEX oidc_sign_in_client ON oidc_sign_in (tenant_id, client_id);
CREATE INDEX oidc_sign_in_expiry ON oidc_sign_in (expires_at);
CALL secure_table('oidc_sign_in');

-- Who somebody is at a provider.
CREATE TABLE oidc_identity (
    tenant_id  integer NOT NULL,
    client_id  uuid NOT NULL,
    subject    text COLLATE "C" NOT NULL,
    person_id  uuid NOT NULL,
    PRIMARY KEY (tenant_id, client_id, subject),
    FOREIGN KEY (tenant_id, client_id) REFERENCES oidc_client ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, person_id) REFERENCES membership ON DELETE CASCADE
);
CREATE INDEX oidc_identity_person ON oidc_identity (tenant_id, person_id);
CALL secure_table('oidc_identity');

-- What somebody will get who signs in for the first time.
CREATE TABLE pending_user (
    tenant_id      integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id             uuid NOT NULL,
    issuer         text NOT NULL,
    email_or_name  text NOT NULL,
    perm           text NOT NULL,
    perm_value     text NOT NULL,
    context_type   text NOT NULL CHECK (context_type IN ('project', 'system', 'device')),
    context_id     uuid NOT NULL,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, issuer, email_or_name, perm, perm_value, context_type, context_id)
);
CALL secure_table('pending_user');
