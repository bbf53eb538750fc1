-- What anybody may read of a system without a token.

CREATE TABLE public_role (
    tenant_id    integer NOT NULL,
    space_id     uuid NOT NULL,
    role_number  integer NOT NULL,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, space_id),
    FOREIGN KEY (tenant_id, space_id) REFERENCES space (tenant_id, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, role_number) REFERENCES access_role (tenant_id, number) ON DELETE CASCADE
);
CREATE INDEX public_role_role ON public_role (tenant_id, role_number);
CALL secure_table('public_role');
