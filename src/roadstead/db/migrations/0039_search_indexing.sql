-- Tenants become searched in small steps, which a worker takes.

ALTER TABLE searched_tenant
    ADD COLUMN ready boolean NOT NULL DEFAULT true,      -- searches find all of its devices
    ADD COLUMN settled boolean NOT NULL DEFAULT true,    -- there is nothing left to do
    ADD COLUMN after xid8,          -- the worker begins when all transactions before this one have ended
    ADD COLUMN indexed_to uuid;     -- the last device of which the worker has written the values
ALTER TABLE searched_tenant
    ALTER COLUMN ready SET DEFAULT false,
    ALTER COLUMN settled SET DEFAULT false;
CREATE INDEX searched_tenant_open ON searched_tenant (since) WHERE NOT settled;
