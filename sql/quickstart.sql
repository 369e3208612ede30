-- Quick start: one side publishes two tables, the other queries them, and sees what is new at once.
--
-- Run it where `make` was run; what it prints is in quickstart.out:
--
--     sqlite3 < sql/quickstart.sql
--
-- The two sides are two connections of one shell here, so that one file can hold both.  In life they
-- are processes, and the second needs nothing of the first but the name of the channel.  The snapshot
-- stays in memory until the machine stops; from another terminal try
--
--     sqlite3 -cmd ".load ./build/mmapsync" :memory: "SELECT mmapsync_attach(
--         '/dev/shm/mmapsync-quickstart')" "SELECT * FROM products JOIN prices USING (sku)"
--
-- and, when done, rm /dev/shm/mmapsync-quickstart_*
.bail on
.headers on
.load ./build/mmapsync

-- The publisher has its tables in a database of its own: here in memory, mostly in a file.
CREATE TABLE products(sku TEXT PRIMARY KEY, name TEXT NOT NULL, stock INTEGER);
CREATE TABLE prices(sku TEXT PRIMARY KEY, cents INTEGER) WITHOUT ROWID;
INSERT INTO products VALUES('A-17', 'lamp', 4), ('B-02', 'chair', 12), ('C-30', 'table', 0);
INSERT INTO prices VALUES('A-17', 1299), ('B-02', 4950), ('C-30', 12000);

-- Both tables become one snapshot.  The function returns JSON about what it did.
SELECT json_extract(mmapsync_publish('/dev/shm/mmapsync-quickstart', 'products', 'prices'),
                    '$.tables', '$.rows') AS 'tables, rows';

-- The other side.  Attaching makes a temporary table for each table of the channel.
.connection 1
.load ./build/mmapsync
SELECT mmapsync_attach('/dev/shm/mmapsync-quickstart') AS attached;
SELECT sku, name, cents FROM products JOIN prices USING (sku) WHERE sku = 'A-17';
SELECT count(*) AS products, sum(stock * cents) AS worth FROM products JOIN prices USING (sku);

-- The publisher changes both tables.  Until it publishes, no one else sees a thing.
.connection 0
UPDATE prices SET cents = 999 WHERE sku = 'A-17';
INSERT INTO products VALUES('D-44', 'shelf', 7);
INSERT INTO prices VALUES('D-44', 8900);

.connection 1
SELECT sku, name, cents FROM products JOIN prices USING (sku) ORDER BY sku;

-- It publishes, and the same statement on the same connection gives the new snapshot.
.connection 0
SELECT json_extract(mmapsync_publish('/dev/shm/mmapsync-quickstart', 'products', 'prices'),
                    '$.tables', '$.rows') AS 'tables, rows';

.connection 1
SELECT sku, name, cents FROM products JOIN prices USING (sku) ORDER BY sku;
SELECT mmapsync_verify('/dev/shm/mmapsync-quickstart') AS verified;
