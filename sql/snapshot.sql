-- Recipe: several tables as one snapshot.
--
--     sqlite3 < sql/snapshot.sql      (where `make` was run; it prints snapshot.out)
--
-- What belongs together is published together: one mmapsync_publish() with all the tables.  Readers
-- are switched over in one step, and every statement sees one snapshot, however many of the tables it
-- joins and however long it runs.  Here each account's balance is the sum of its entries, and a reader
-- checks that.
.bail on
.headers on
.load ./build/mmapsync

CREATE TABLE accounts(id INTEGER PRIMARY KEY, owner TEXT, balance INTEGER);
CREATE TABLE entries(id INTEGER PRIMARY KEY, account INTEGER, amount INTEGER, note TEXT);
CREATE INDEX entries_of ON entries(account);
CREATE TABLE edition(n INTEGER PRIMARY KEY, note TEXT);
INSERT INTO accounts VALUES(1, 'Ada', 100), (2, 'Emmy', 250);
INSERT INTO entries(account, amount, note) VALUES(1, 100, 'opened'), (2, 250, 'opened');
INSERT INTO edition VALUES(1, 'the first');

SELECT json_extract(mmapsync_publish('/dev/shm/mmapsync-snapshot', 'accounts', 'entries', 'edition'),
                    '$.tables', '$.rows') AS 'tables, rows';

.connection 1
.load ./build/mmapsync
SELECT mmapsync_attach('/dev/shm/mmapsync-snapshot') AS attached;
CREATE TEMP VIEW audit AS
  SELECT edition.n AS edition, edition.note, count(*) AS accounts, sum(balance) AS money,
         count(*) FILTER (WHERE balance = (SELECT sum(amount) FROM entries
                                            WHERE entries.account = accounts.id)) AS correct
    FROM edition, accounts GROUP BY edition.n;
SELECT * FROM audit;

-- A transfer.  Halfway through, the publisher's own tables do not add up; no reader can see that.
.connection 0
UPDATE accounts SET balance = balance - 70 WHERE id = 2;
UPDATE accounts SET balance = balance + 70 WHERE id = 1;

.connection 1
SELECT * FROM audit;

.connection 0
INSERT INTO entries(account, amount, note) VALUES(2, -70, 'to Ada'), (1, 70, 'from Emmy');
UPDATE edition SET n = 2, note = 'after the transfer';
SELECT json_extract(mmapsync_publish('/dev/shm/mmapsync-snapshot', 'accounts', 'entries', 'edition'),
                    '$.tables', '$.rows') AS 'tables, rows';

.connection 1
SELECT * FROM audit;
SELECT owner, balance, note FROM accounts JOIN entries ON entries.account = accounts.id
 WHERE amount = 70;

-- Nothing is published from inside a transaction that wrote: what may be rolled back is not for
-- others to see.  COMMIT comes first.
.connection 0
BEGIN;
UPDATE accounts SET owner = 'Ada L.' WHERE id = 1;
COMMIT;
SELECT json_extract(mmapsync_publish('/dev/shm/mmapsync-snapshot', 'accounts', 'entries', 'edition'),
                    '$.rows') AS rows;

.connection 1
SELECT owner FROM accounts ORDER BY id;
