-- When values were taken out of the state of a device: what is older does not come back.

ALTER TABLE device_state ADD COLUMN removed jsonb;         -- {path: removed at ms}; null: never was any
