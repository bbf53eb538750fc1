-- Roles of a project with permissions of its own words, and who has them where.

CREATE TABLE access_role (
    tenant_id     integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    number        integer NOT NULL,                  -- counts up within the tenant (table ordinal)
    name          text COLLATE "C" NOT NULL,
    display_name  text,
    category      text COLLATE "C" NOT NULL,
    description   text,
    metadata      jsonb NOT NULL DEFAULT '{}',
    everything    boolean NOT NULL DEFAULT false,    -- whatever there is to be permitted; each tenant has one of these
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, number),
    UNIQUE (tenant_id, category, name)
);
CALL secure_table('access_role');

-- By name: most permissions are the program's or follow from blueprints, and are not stored.
CREATE TABLE access_role_permission (
    tenant_id    integer NOT NULL,
    role_number  integer NOT NULL,
    module       text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, role_number, module, name),
    FOREIGN KEY (tenant_id, role_number) REFERENCES access_role (tenant_id, number) ON DELETE CASCADE
);
CALL secure_table('access_role_permission');

CREATE TABLE access_module (
    tenant_id     integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    name          text COLLATE "C" NOT NULL,
    display_name  text,
    description   text,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, name)
);
CALL secure_table('access_module');

-- Permissions of a project's own making, which mean something to its programs only.
CREATE TABLE access_permission (
    tenant_id     integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    number        integer NOT NULL,
    module        text COLLATE "C" NOT NULL,
    name          text COLLATE "C" NOT NULL,
    display_name  text,
    description   text,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, number),
    UNIQUE (tenant_id, module, name)
);
CALL secure_table('access_permission');

-- Who has which role on what: the whole project, a system or a device, with which it goes.
CREATE TABLE access_binding (
    tenant_id      integer NOT NULL,
    person_id      uuid NOT NULL,
    role_number    integer NOT NULL,
    resource_type  text NOT NULL CHECK (resource_type IN ('project', 'system', 'device')),
    resource_id    uuid NOT NULL,
    space_id       uuid GENERATED ALWAYS AS (CASE WHEN resource_type = 'system' THEN resource_id END) STORED,
    device_id      uuid GENERATED ALWAYS AS (CASE WHEN resource_type = 'device' THEN resource_id END) STORED,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, person_id, role_number, resource_id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES membership (tenant_id, person_id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, role_number) REFERENCES access_role (tenant_id, number) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, space_id) REFERENCES space (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX access_binding_role ON access_binding (tenant_id, role_number);
CREATE INDEX access_binding_resource ON access_binding (tenant_id, resource_id);
CREATE INDEX access_binding_space ON access_binding (tenant_id, space_id) WHERE space_id IS NOT NULL;
CREATE INDEX access_binding_device ON access_binding (tenant_id, device_id) WHERE device_id IS NOT NULL;
CALL secure_table('access_binding');

CREATE FUNCTION add_admin_role() RETURNS trigger LANGUAGE plpgsql SET search_path = roadstead AS $$
BEGIN
    INSERT INTO access_role (tenant_id, number, name, display_name, category, everything, created_at, updated_at)
    VALUES (NEW.tenant_id, 1, 'admin', 'Administrator', 'imagine', true, NEW.created_at, NEW.created_at);
    RETURN NULL;
END
$$;

CREATE TRIGGER add_admin_role AFTER INSERT ON tenant FOR EACH ROW EXECUTE FUNCTION add_admin_role();

INSERT INTO access_role (tenant_id, number, name, display_name, category, everything, created_at, updated_at)
SELECT tenant_id, 1, 'admin', 'Administrator', 'imagine', true, created_at, created_at FROM tenant;
