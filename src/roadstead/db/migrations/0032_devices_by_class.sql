-- Lists of devices by class, and in the order of their last change.

CREATE INDEX device_class ON device (tenant_id, device_class, called, id);
CREATE INDEX device_updated ON device (tenant_id, updated_at, id);
