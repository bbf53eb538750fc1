-- Firmware: artifacts with their content in parts, grants to bring and fetch it, and rollouts to devices.

CREATE TABLE firmware (
    tenant_id       integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id              uuid NOT NULL,
    name            text NOT NULL,
    release         text NOT NULL,                    -- semantic version
    release_order   text COLLATE "C" NOT NULL,        -- sorts as semantic versions do
    device_profile  text NOT NULL,                    -- key, or key@major.minor
    profile_key     text NOT NULL GENERATED ALWAYS AS (split_part(device_profile, '@', 1)) STORED,
    status          text NOT NULL CHECK (status IN ('DRAFT', 'PUBLISHED', 'DEPRECATED')),
    size_bytes      bigint NOT NULL,
    sha256          bytea NOT NULL,
    signature       bytea,                            -- detached, over the SHA-256
    release_notes   text,
    metadata        jsonb NOT NULL,
    created_by      uuid NOT NULL,
    upload_run      integer NOT NULL DEFAULT 0,       -- counts up when an upload starts over: parts of earlier runs are void
    received_bytes  bigint NOT NULL DEFAULT 0,
    uploaded_at     timestamptz,                      -- when all of it was there and its checksum was right
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    version         integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, device_profile, name, release)
);
CREATE INDEX firmware_created ON firmware (tenant_id, created_at, id);
CREATE INDEX firmware_status ON firmware (tenant_id, status, created_at, id);
CREATE INDEX firmware_profile ON firmware (tenant_id, profile_key, created_at, id);
CREATE INDEX firmware_release ON firmware (tenant_id, release_order, id);
CALL secure_table('firmware');

-- One file of the blob store each. The row comes before the file and goes after it, so that no file is forgotten; it
-- outlives its firmware for that.
CREATE TABLE firmware_part (
    tenant_id    integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id           uuid NOT NULL,
    firmware_id  uuid NOT NULL,
    run          integer NOT NULL,
    start        bigint NOT NULL,
    size_bytes   bigint,             -- null while it arrives
    blob_key     text NOT NULL,
    due_at       timestamptz,        -- from when on the file is of no use, unless it has become part of a whole
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX firmware_part_firmware ON firmware_part (tenant_id, firmware_id, run, start);
CREATE INDEX firmware_part_due ON firmware_part (due_at) WHERE due_at IS NOT NULL;
CALL secure_table('firmware_part');

CREATE TABLE firmware_token (
    tenant_id    integer NOT NULL,
    token_hash   bytea NOT NULL PRIMARY KEY,
    id           uuid NOT NULL,
    firmware_id  uuid NOT NULL,
    device_id    uuid,               -- who may fetch it; null: it brings the content
    rollout_id   uuid,               -- made for a device of a rollout: worth nothing when that is over
    bytes_left   bigint NOT NULL,    -- what may still be fetched with it
    created_by   uuid NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    FOREIGN KEY (tenant_id, firmware_id) REFERENCES firmware ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, device_id) REFERENCES device ON DELETE CASCADE
);
CREATE INDEX firmware_token_firmware ON firmware_token (tenant_id, firmware_id);
CREATE INDEX firmware_token_device ON firmware_token (tenant_id, device_id);
CREATE INDEX firmware_token_expires ON firmware_token (expires_at);
CALL secure_table('firmware_token');

CREATE TABLE rollout (
    tenant_id            integer NOT NULL REFERENCES tenant ON DELETE CASCADE,
    id                   uuid NOT NULL,
    firmware_id          uuid NOT NULL,        -- may be gone when the rollout is over
    release              text NOT NULL,
    target               jsonb NOT NULL,
    status               text NOT NULL
        CHECK (status IN ('SCHEDULED', 'RUNNING', 'PAUSED', 'COMPLETED', 'FAILED', 'CANCELLED')),
    reason               text,                 -- why it has come to an end before its time
    waves                integer[] NOT NULL,
    current_wave         integer NOT NULL,     -- from 1; 0: the canaries, or not begun
    max_failure_percent  integer NOT NULL,
    start_at             timestamptz,
    "window"             jsonb,
    force                boolean NOT NULL,
    ttl_seconds          integer NOT NULL,
    timeout_seconds      integer NOT NULL,
    max_attempts         integer NOT NULL,
    created_by           uuid NOT NULL,
    completed_at         timestamptz,
    due_at               timestamptz,          -- when it is looked at again; null once it is over, or paused
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL,
    version              integer NOT NULL DEFAULT 1,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX rollout_created ON rollout (tenant_id, created_at, id);
CREATE INDEX rollout_firmware ON rollout (tenant_id, firmware_id, created_at, id);
CREATE INDEX rollout_status ON rollout (tenant_id, status, created_at, id);
CREATE INDEX rollout_due ON rollout (due_at) WHERE due_at IS NOT NULL;
CALL secure_table('rollout');

CREATE TABLE rollout_device (
    tenant_id      integer NOT NULL,
    id             uuid NOT NULL,
    rollout_id     uuid NOT NULL,
    device_id      uuid NOT NULL,
    position       integer NOT NULL,     -- in which order they get their turn
    wave           integer NOT NULL,
    status         text NOT NULL CHECK (status IN ('PENDING', 'SENT', 'DOWNLOADING', 'INSTALLING', 'INSTALLED', 'FAILED',
                                                   'TIMED_OUT', 'UNREACHED', 'SKIPPED', 'CANCELLED')),
    from_release   text,
    attempts       integer NOT NULL DEFAULT 0,
    command_id     uuid,                 -- of this attempt; PENDING with one: it waits for the device
    reach_until    timestamptz,          -- until when the device may take to hear of it
    sent_at        timestamptz,          -- when it did, in this attempt
    begun_at       timestamptz,          -- when it fetched the first byte, in this attempt
    fetched_at     timestamptz,          -- when it was given the last one
    error          text,
    due_at         timestamptz,          -- when it is looked at again; null while it waits for its wave, and when it is done
    updated_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, rollout_id, device_id),
    FOREIGN KEY (tenant_id, rollout_id) REFERENCES rollout ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, device_id) REFERENCES device ON DELETE CASCADE
);
-- A device gets one firmware at a time.
CREATE UNIQUE INDEX rollout_device_open ON rollout_device (tenant_id, device_id)
    WHERE status IN ('PENDING', 'SENT', 'DOWNLOADING', 'INSTALLING');
CREATE INDEX rollout_device_order ON rollout_device (tenant_id, rollout_id, position, id);
CREATE INDEX rollout_device_status ON rollout_device (tenant_id, rollout_id, status, position, id) INCLUDE (wave);
CREATE INDEX rollout_device_waiting ON rollout_device (tenant_id, rollout_id, position)
    WHERE status = 'PENDING' AND command_id IS NULL;
CREATE INDEX rollout_device_next ON rollout_device (tenant_id, rollout_id, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX rollout_device_device ON rollout_device (tenant_id, device_id, id);
CREATE INDEX rollout_device_command ON rollout_device (tenant_id, command_id) WHERE command_id IS NOT NULL;
CREATE INDEX rollout_device_due ON rollout_device (due_at) WHERE due_at IS NOT NULL;
CALL secure_table('rollout_device');
