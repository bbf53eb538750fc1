-- When devices came and went, for whoever looks for a fault: kept for hours.

CREATE TABLE device_connection (
    tenant_id  integer NOT NULL,
    device_id  uuid NOT NULL,
    at         timestamptz NOT NULL,
    gateway    text NOT NULL,
    session    bigint NOT NULL,
    connected  boolean NOT NULL,
    reason     text NOT NULL,    -- why it went
    PRIMARY KEY (tenant_id, device_id, at, gateway, session, connected),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX device_connection_at ON device_connection (at);
CALL secure_table('device_connection');
