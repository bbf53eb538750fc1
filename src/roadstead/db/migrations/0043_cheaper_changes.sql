-- What every change pays for.

-- Whoever writes a fact need not lock its organization: facts stay for milliseconds, and those of an organization that is
-- gone by then do no harm.
ALTER TABLE outbox DROP CONSTRAINT outbox_tenant_id_fkey;

-- Asked for once in ten minutes, by ranges; as a tree it was written with the end of each command.
DROP INDEX command_completed;
CREATE INDEX command_completed ON command USING brin (completed_at) WITH (autosummarize = on, pages_per_range = 16);
