-- Recipe: monitor channels with SQL.
--
--     sqlite3 < sql/monitor.sql       (where `make` was run; it prints monitor.out)
--
-- mmapsync_status(path), mmapsync_tables(path) and mmapsync_columns(path) are table-valued functions:
-- one row for a channel, for each table in it, for each column of those.  Views over them and over a
-- table of channels make a dashboard.  Asking disturbs no one: it never waits and takes no lock.
-- A channel on which nothing was published has no rows, so a LEFT JOIN shows it.  While a publish is in
-- progress, publishing, publishing_table, publishing_rows, publishing_bytes and publishing_since say how far it is.
.bail on
.headers on
.load ./build/mmapsync

-- Something to look at: a channel of two tables, one of plain bytes, and one that no one has used.
CREATE TABLE cities(id INTEGER PRIMARY KEY, name TEXT UNIQUE, country TEXT, people INTEGER);
CREATE TABLE flags(name TEXT PRIMARY KEY, enabled INTEGER, note TEXT) WITHOUT ROWID;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
INSERT INTO cities SELECT i, printf('city %d', i), substr('defrgbusjp', 1 + 2 * (i % 5), 2), i * 1000
  FROM n;
INSERT INTO flags VALUES('dark-mode', 1, NULL), ('new-search', 0, NULL), ('old-search', 1, 'drop me');
SELECT json_extract(mmapsync_publish('/dev/shm/mmapsync-monitor-geo', 'cities', 'flags'),
                    '$.tables') AS tables,
       json_extract(mmapsync_write('/dev/shm/mmapsync-monitor-model', 'bytes that make up a model'),
                    '$.bytes') AS bytes;

-- The monitor.  A channel is stale when its snapshot is older than `limit_ms`.
.connection 1
.load ./build/mmapsync
CREATE TABLE channels(name TEXT PRIMARY KEY, path TEXT, limit_ms INTEGER);
INSERT INTO channels VALUES
  ('geo',    '/dev/shm/mmapsync-monitor-geo',    3600000),
  ('model',  '/dev/shm/mmapsync-monitor-model',  -1),
  ('routes', '/dev/shm/mmapsync-monitor-routes', 60000);

CREATE VIEW health AS
  SELECT name,
         CASE WHEN sequence IS NULL THEN 'nothing published'
              WHEN age_ms > limit_ms THEN 'stale'
              ELSE 'fresh' END AS state,
         kind, sequence, size, age_ms, published_at, writer, readers_0 + readers_1 AS readers
    FROM channels LEFT JOIN mmapsync_status(channels.path);

CREATE VIEW contents AS
  SELECT channels.name AS channel, t.name AS "table", t.source, t.rows, t.columns, t.keys, t.bytes,
         CAST(t.bytes AS REAL) / nullif(t.rows, 0) AS bytes_a_row
    FROM channels JOIN mmapsync_status(channels.path) AS s JOIN mmapsync_tables(channels.path) AS t
   WHERE s.kind = 'tables';

CREATE VIEW storage AS
  SELECT channels.name AS channel, c.table_name, c.name AS "column", c.type, c.encoding, c.nulls, c.bytes
    FROM channels JOIN mmapsync_status(channels.path) AS s JOIN mmapsync_columns(channels.path) AS c
   WHERE s.kind = 'tables' AND NOT c.hidden;

SELECT name, state, kind, sequence > 0 AS numbered, size > 0 AS filled, readers FROM health
 ORDER BY name;
SELECT channel, "table", source, rows, columns, keys FROM contents ORDER BY 1, 2;

-- What takes the room, and which columns say nothing.
SELECT "column", type, bytes > 0 AS takes_room FROM storage
 WHERE table_name = 'cities' AND bytes >= (SELECT max(bytes) FROM storage WHERE table_name = 'cities');
SELECT table_name, "column", nulls FROM storage WHERE nulls > 0;

-- For a watchdog: the names of the channels that need someone.
SELECT group_concat(name, ', ') AS attention
  FROM (SELECT name FROM health WHERE state <> 'fresh' ORDER BY name);
