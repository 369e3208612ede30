-- Recipe: one snapshot for several statements, waiting for the next, and who reads.
--
--     sqlite3 < sql/pin.sql           (where `make` was run; it prints pin.out)
--
-- A statement sees one snapshot; the next statement sees the newest.  Where several statements belong
-- together, as the pages of a report do, mmapsync_pin() holds a snapshot until mmapsync_unpin().  Others
-- publish on meanwhile: what is held is left to its holder, and they go on in a new file.
-- mmapsync_wait() sleeps until there is something newer than what is known.
.bail on
.headers on
.load ./build/mmapsync

CREATE TABLE stock(item TEXT PRIMARY KEY, n INTEGER);
INSERT INTO stock VALUES('chair', 10), ('lamp', 20);
SELECT json_extract(mmapsync_publish('/dev/shm/mmapsync-pin', 'stock'), '$.rows') AS rows;

-- The report: a total, and then the lines that it is made of.
.connection 1
.load ./build/mmapsync
SELECT mmapsync_attach('/dev/shm/mmapsync-pin') AS attached;
SELECT mmapsync_pin('/dev/shm/mmapsync-pin') = mmapsync_sequence('/dev/shm/mmapsync-pin') AS newest;
SELECT sum(n) AS total FROM stock;

.connection 0
SELECT mmapsync_config('/dev/shm/mmapsync-pin', 'grace_ms', 20) AS grace_ms;
UPDATE stock SET n = n + 100;
SELECT json_extract(mmapsync_publish('/dev/shm/mmapsync-pin', 'stock'), '$.replaced') AS replaced;
UPDATE stock SET n = n + 100;
SELECT json_extract(mmapsync_publish('/dev/shm/mmapsync-pin', 'stock'), '$.replaced') AS replaced;

-- Who held it up: a reader that was still there when the grace time was over.
SELECT kind, program, alive, pins_0 + pins_1 AS pins, held_ms >= 0 AS known_how_long
  FROM mmapsync_readers('/dev/shm/mmapsync-pin') WHERE pins_0 + pins_1 > 0;

-- The lines still make up the total; the next report is of the newest snapshot.
.connection 1
SELECT item, n FROM stock ORDER BY item;
SELECT mmapsync_unpin('/dev/shm/mmapsync-pin') AS pins_left;
SELECT sum(n) AS total FROM stock;

-- A program that does something for each snapshot keeps the sequence it knows, and waits for the next
-- (-1: for ever).  Nothing newer comes here, so after 10 ms the answer is NULL.
SELECT mmapsync_wait('/dev/shm/mmapsync-pin', NULL, -1) = mmapsync_sequence('/dev/shm/mmapsync-pin') AS first,
       mmapsync_wait('/dev/shm/mmapsync-pin', mmapsync_sequence('/dev/shm/mmapsync-pin'), 10) IS NULL AS nothing_newer;
