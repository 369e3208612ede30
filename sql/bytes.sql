-- Recipe: publish plain bytes.
--
--     sqlite3 < sql/bytes.sql         (where `make` was run; it prints bytes.out)
--
-- Not all that many processes share is a table.  mmapsync_write() publishes a text or a blob as it is,
-- mmapsync_read() gives it back as a blob.  This is also how SQL talks with programs that use the C
-- interface, and with those that use the mmap-sync crate: the files are the same.
.bail on
.headers on
.load ./build/mmapsync

SELECT json_extract(mmapsync_write('/dev/shm/mmapsync-bytes', '{"limit": 25, "regions": ["eu", "us"]}'),
                    '$.bytes') AS bytes;

.connection 1
.load ./build/mmapsync
SELECT typeof(mmapsync_read('/dev/shm/mmapsync-bytes')) AS type,
       length(mmapsync_read('/dev/shm/mmapsync-bytes')) AS bytes;

-- JSON in a channel is a table too.
CREATE TEMP VIEW settings AS
  SELECT key, value FROM json_each(CAST(mmapsync_read('/dev/shm/mmapsync-bytes') AS TEXT));
SELECT * FROM settings;

.connection 0
SELECT json_extract(mmapsync_write('/dev/shm/mmapsync-bytes', '{"limit": 40, "regions": ["eu"]}'),
                    '$.bytes') AS bytes;

.connection 1
SELECT * FROM settings;

-- Bytes are bytes: a NUL, and what is no valid text, come back as they went in.
.connection 0
SELECT json_extract(mmapsync_write('/dev/shm/mmapsync-bytes', x'00ff00fe'), '$.bytes') AS bytes;
.connection 1
SELECT hex(mmapsync_read('/dev/shm/mmapsync-bytes')) AS hex;
