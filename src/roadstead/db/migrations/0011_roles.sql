-- Roles of a tenant beside those of the platform, what is asked of people who are invited, and what only a dialect knows
-- about a tenant.

ALTER TABLE tenant ADD COLUMN notes jsonb NOT NULL DEFAULT '{}';    -- what only one dialect knows, under its name

-- Names need not be unique; where a dialect wants them to be, a tenant may learn that one is taken, and nothing else.
CREATE FUNCTION tenant_name_taken(wanted text, but integer) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = roadstead
    RETURN EXISTS (SELECT FROM tenant WHERE lower(name) = lower(wanted) AND tenant_id IS DISTINCT FROM but);

CREATE TABLE role (
    tenant_id           integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id                  uuid NOT NULL,
    standard            text CHECK (standard IN ('owner', 'writer', 'reader')),    -- one of the three that everyone has
    name                text NOT NULL,
    description         text NOT NULL DEFAULT '',
    permissions         text[] NOT NULL DEFAULT '{}',    -- of the standard ones the program knows them
    custom_permissions  uuid[] NOT NULL DEFAULT '{}',    -- those of applications, which may belong to other tenants
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX role_name ON role (tenant_id, lower(name));
CREATE INDEX role_created ON role (tenant_id, created_at, id);
CALL secure_table('role');

-- Members without a row here have what their role on the platform says.
CREATE TABLE member_role (
    tenant_id    integer NOT NULL,
    person_id    uuid NOT NULL,
    role_id      uuid NOT NULL,
    assigned_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, person_id, role_id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES membership (tenant_id, person_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, role_id) REFERENCES role (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX member_role_role ON member_role (tenant_id, role_id);
CALL secure_table('member_role');

-- Invitations without a row here are for a role on the platform.
CREATE TABLE invitation_role (
    tenant_id      integer NOT NULL,
    invitation_id  uuid NOT NULL,
    role_id        uuid NOT NULL,
    PRIMARY KEY (tenant_id, invitation_id, role_id),
    FOREIGN KEY (tenant_id, invitation_id) REFERENCES invitation (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, role_id) REFERENCES role (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX invitation_role_role ON invitation_role (tenant_id, role_id);
CALL secure_table('invitation_role');

ALTER TABLE invitation ADD COLUMN declined_at timestamptz;
CREATE INDEX invitation_email ON invitation (lower(email));

-- The standard role that comes nearest to a role on the platform.
CREATE FUNCTION standard_role(platform_role text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE platform_role WHEN 'MEMBER' THEN 'writer' ELSE 'owner' END;

-- Which roles everybody has: those that were given, else the one that comes nearest.
CREATE VIEW held_role WITH (security_invoker = true) AS
SELECT tenant_id, person_id, role_id, assigned_at FROM member_role
UNION ALL
SELECT m.tenant_id, m.person_id, r.id, m.joined_at
FROM membership m JOIN role r ON r.tenant_id = m.tenant_id AND r.standard = standard_role(m.role)
WHERE NOT EXISTS (SELECT FROM member_role g WHERE g.tenant_id = m.tenant_id AND g.person_id = m.person_id);
GRANT SELECT ON held_role TO roadstead_tenant, roadstead_system;

-- The same for those who were invited.
CREATE VIEW offered_role WITH (security_invoker = true) AS
SELECT tenant_id, invitation_id, role_id FROM invitation_role
UNION ALL
SELECT i.tenant_id, i.id, r.id
FROM invitation i JOIN role r ON r.tenant_id = i.tenant_id AND r.standard = standard_role(i.role)
WHERE NOT EXISTS (SELECT FROM invitation_role g WHERE g.tenant_id = i.tenant_id AND g.invitation_id = i.id);
GRANT SELECT ON offered_role TO roadstead_tenant, roadstead_system;

-- Each tenant has the standard roles from its first moment on, under ids that follow from its own: in the layout of all
-- ids (kernel/ids.py), so that they can be told from foreign ones.
CREATE FUNCTION standard_role_id(tenant uuid, name text) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT (left(h, 12) || '8' || substr(h, 14, 3) || '8000000' || right(h, 9))::uuid
    FROM (SELECT md5(tenant::text || '/' || name)) AS digest (h);
END;

CREATE PROCEDURE add_standard_roles(tenant integer, public_id uuid, at timestamptz) LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO role (tenant_id, id, standard, name, description, created_at, updated_at)
    SELECT tenant, standard_role_id(public_id, name), name, name, description, at, at
    FROM (VALUES
        ('owner', 'May do everything.'),
        ('writer', 'May see and change everything but the tenant and its users.'),
        ('reader', 'May see everything but the users.')
    ) AS standard (name, description);
END;

CREATE FUNCTION equip_tenant() RETURNS trigger LANGUAGE plpgsql SET search_path = roadstead AS $$
BEGIN
    CALL add_standard_roles(NEW.tenant_id, NEW.public_id, NEW.created_at);
    RETURN NULL;
END
$$;

CREATE TRIGGER equip AFTER INSERT ON tenant FOR EACH ROW EXECUTE FUNCTION equip_tenant();

DO $$
DECLARE one record;
BEGIN
    FOR one IN SELECT tenant_id, public_id, created_at FROM tenant LOOP
        CALL add_standard_roles(one.tenant_id, one.public_id, one.created_at);
    END LOOP;
END
$$;
