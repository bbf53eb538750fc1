-- Who has written an event down, and what was said when it was acknowledged. Events that need no work can be
-- acknowledged as well: then there is a time and a person, and still no status.
ALTER TABLE event
    ADD COLUMN created_by uuid,
    ADD COLUMN acknowledged_data jsonb;
