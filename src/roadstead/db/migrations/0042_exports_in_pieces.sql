-- Exports go on where they were: what one is about is decided once, and what of it is finished lies in files of its own.

ALTER TABLE export_job ADD COLUMN plan jsonb;   -- null until a worker begins with it for the first time

-- A finished part: the tables of an export are made of its pieces in order of their numbers.
CREATE TABLE export_piece (
    tenant_id  integer NOT NULL,
    export_id  uuid NOT NULL,
    number     integer NOT NULL,
    lease      uuid NOT NULL,             -- of the worker that made it; names its file
    readings   bigint NOT NULL,
    PRIMARY KEY (tenant_id, export_id, number),
    FOREIGN KEY (tenant_id, export_id) REFERENCES export_job (tenant_id, id) ON DELETE CASCADE
);
CALL secure_table('export_piece');
