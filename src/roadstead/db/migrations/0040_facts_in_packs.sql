-- Facts travel several to a message, so a buffer may have been read up to one in the middle.

ALTER TABLE stream_buffer ADD COLUMN fact_index integer NOT NULL DEFAULT 0;
