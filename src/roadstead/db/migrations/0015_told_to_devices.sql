-- What single devices are set to, certificates that can be shown and withheld, commands that nobody answers.

ALTER TABLE config_artefact
    ADD COLUMN is_own boolean NOT NULL DEFAULT false;    -- made for single devices; goes when none has it any more
CREATE INDEX config_artefact_own ON config_artefact (tenant_id, id) WHERE is_own;

ALTER TABLE certificate
    ADD COLUMN der bytea,          -- null: it came before this was kept
    ADD COLUMN withheld text CHECK (withheld IN ('EXPIRED', 'INACTIVE'));    -- somebody says so; null: nobody does

ALTER TABLE command
    ADD COLUMN awaits_answer boolean NOT NULL DEFAULT true;    -- else it has succeeded as soon as it has arrived
