-- Applications: programs that act for people or by themselves in the tenants that have installed them.

CREATE TABLE application (
    tenant_id           integer NOT NULL REFERENCES tenant ON DELETE CASCADE, -- its developer
    id                  uuid NOT NULL UNIQUE,
    name                text NOT NULL,
    teaser_description  text NOT NULL DEFAULT '',
    url                 text NOT NULL DEFAULT '',
    active              boolean NOT NULL DEFAULT true,
    redirect_uris       text[] NOT NULL DEFAULT '{}',
    client_permissions  text[] NOT NULL DEFAULT '{}',  -- what it asks for to act by itself
    user_permissions    text[] NOT NULL DEFAULT '{}',  -- what it asks for to act for people
    client_id           uuid NOT NULL UNIQUE,          -- of the client that has a secret
    secret_hash         bytea NOT NULL,
    public_client_id    uuid UNIQUE,                   -- of the one without
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    deleted_at          timestamptz,                   -- who has installed it is told so
    version             integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX application_name ON application (tenant_id, name) WHERE deleted_at IS NULL;
CREATE INDEX application_created ON application (tenant_id, created_at, id);
CALL secure_table('application');

-- Permissions that an application brings along: handed out in roles, looked at by the application alone.
CREATE TABLE custom_permission (
    tenant_id       integer NOT NULL,
    id              uuid NOT NULL UNIQUE,
    application_id  uuid NOT NULL,
    alias           text NOT NULL,
    category        text NOT NULL,
    name            text NOT NULL,
    description     text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, application_id, alias),
    FOREIGN KEY (tenant_id, application_id) REFERENCES application (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX custom_permission_created ON custom_permission (tenant_id, application_id, created_at, id);
CALL secure_table('custom_permission');

-- Who may install an application. Nobody looks whether there is such an organization.
CREATE TABLE allowed_tenant (
    tenant_id        integer NOT NULL,
    application_id   uuid NOT NULL,
    organization_id  uuid NOT NULL,
    comment          text NOT NULL DEFAULT '',
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, application_id, organization_id),
    FOREIGN KEY (tenant_id, application_id) REFERENCES application (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX allowed_tenant_organization ON allowed_tenant (organization_id, application_id);
CALL secure_table('allowed_tenant');

-- What a tenant has consented to. The application is another tenant's, so it can be gone.
CREATE TABLE application_installation (
    tenant_id           integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    application_id      uuid NOT NULL,
    application_name    text NOT NULL,     -- at the time of consent
    client_permissions  text[] NOT NULL,
    user_permissions    text[] NOT NULL,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, application_id)
);
CREATE INDEX application_installation_of ON application_installation (application_id, tenant_id);
CALL secure_table('application_installation');

-- Whether a consent is about what the application asks for today; of one that is gone, nothing is asked any more.
CREATE FUNCTION installation_status(a application, i application_installation) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN a.id IS NULL THEN 'ok'
        WHEN a.client_permissions @> i.client_permissions AND a.client_permissions <@ i.client_permissions
            AND a.user_permissions @> i.user_permissions AND a.user_permissions <@ i.user_permissions THEN 'ok'
        ELSE 'outdated' END;

-- Applications that this tenant may install or has installed, whoever has developed them; of the others it learns nothing.
CREATE FUNCTION offered_applications() RETURNS TABLE (
    id uuid, name text, teaser_description text, url text, client_permissions text[], user_permissions text[],
    created_at timestamptz, availability text, installed_at timestamptz, status text
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = roadstead
BEGIN ATOMIC
    WITH me AS (
        SELECT tenant_id, public_id FROM tenant WHERE tenant_id = current_tenant()
    ), mine AS (
        SELECT w.application_id FROM allowed_tenant w JOIN me ON me.public_id = w.organization_id
        UNION
        SELECT i.application_id FROM application_installation i JOIN me USING (tenant_id)
    )
    SELECT m.application_id, coalesce(a.name, i.application_name), coalesce(a.teaser_description, ''), coalesce(a.url, ''),
           coalesce(a.client_permissions, '{}'), coalesce(a.user_permissions, '{}'),
           coalesce(a.created_at, i.created_at),
           CASE WHEN a.id IS NULL THEN 'UNKNOWN'
                WHEN a.deleted_at IS NOT NULL THEN 'DELETED'
                WHEN NOT a.active OR d.status <> 'ACTIVE' THEN 'INACTIVE'
                WHEN w.organization_id IS NULL THEN 'DENIED'
                ELSE 'AVAILABLE' END,
           i.created_at, CASE WHEN i.application_id IS NOT NULL THEN installation_status(a, i) END
    FROM me CROSS JOIN mine m
    LEFT JOIN application a ON a.id = m.application_id
    LEFT JOIN tenant d ON d.tenant_id = a.tenant_id
    LEFT JOIN allowed_tenant w
        ON w.tenant_id = a.tenant_id AND w.application_id = a.id AND w.organization_id = me.public_id
    LEFT JOIN application_installation i ON i.tenant_id = me.tenant_id AND i.application_id = m.application_id
    WHERE i.application_id IS NOT NULL OR (a.active AND a.deleted_at IS NULL AND d.status = 'ACTIVE');
END;

-- What the applications that this tenant has installed bring along.
CREATE FUNCTION offered_custom_permissions() RETURNS SETOF custom_permission
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = roadstead
BEGIN ATOMIC
    SELECT c.* FROM custom_permission c JOIN application a ON a.tenant_id = c.tenant_id AND a.id = c.application_id
    JOIN application_installation i ON i.application_id = a.id
    WHERE i.tenant_id = current_tenant() AND a.deleted_at IS NULL;
END;

-- Who has installed an application of this tenant's making.
CREATE FUNCTION installing_tenants(application uuid) RETURNS TABLE (organization_id uuid, name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = roadstead
BEGIN ATOMIC
    SELECT t.public_id, t.name FROM application_installation i JOIN tenant t USING (tenant_id)
    JOIN application a ON a.id = i.application_id
    WHERE a.tenant_id = current_tenant() AND a.id = installing_tenants.application;
END;

-- Roles hold custom permissions of other tenants' making by their id, so whoever takes one away takes it out of the roles.
CREATE FUNCTION take_custom_permission_away() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = roadstead AS $$
BEGIN
    UPDATE role SET custom_permissions = array_remove(custom_permissions, OLD.id)
    WHERE OLD.id = ANY (custom_permissions);
    RETURN NULL;
END
$$;

CREATE TRIGGER take_away AFTER DELETE ON custom_permission
    FOR EACH ROW EXECUTE FUNCTION take_custom_permission_away();

CREATE FUNCTION take_custom_permissions_away() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = roadstead AS $$
BEGIN
    UPDATE role SET custom_permissions = ARRAY(
        SELECT held.id FROM unnest(role.custom_permissions) WITH ORDINALITY AS held (id, position)
        WHERE NOT EXISTS (SELECT FROM custom_permission c WHERE c.id = held.id AND c.application_id = OLD.application_id)
        ORDER BY held.position
    )
    WHERE tenant_id = OLD.tenant_id AND custom_permissions && ARRAY(
        SELECT c.id FROM custom_permission c WHERE c.application_id = OLD.application_id
    );
    RETURN NULL;
END
$$;

CREATE TRIGGER take_away AFTER DELETE ON application_installation
    FOR EACH ROW EXECUTE FUNCTION take_custom_permissions_away();
