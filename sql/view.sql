-- Recipe: publish the result of a query.
--
--     sqlite3 < sql/view.sql          (where `make` was run; it prints view.out)
--
-- A view is how any query is published: readers get its rows ready made and pay nothing for its joins
-- and groups.  A view has no keys of its own, so they are given behind its name:
--
--     KEY(a, b)               no two rows are equal in these columns, none is NULL in them; the rows
--                             stand in this order, and a lookup by them finds its row at once
--     INDEX(c COLLATE x, d)   finds the rows that are equal in these columns, or in the first of them
--
-- A view's expression has no declared type; CAST gives it one, and with it the affinity that decides
-- whether '7' equals 7.
.bail on
.headers on
.load ./build/mmapsync

CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT, country TEXT);
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER, cents INTEGER, day TEXT);
INSERT INTO customers VALUES
  (1, 'Ada', 'gb'), (2, 'Emmy', 'de'), (3, 'Grace', 'us'), (4, 'Sophie', 'FR'), (5, 'Maria', 'de');
INSERT INTO orders(customer, cents, day) VALUES
  (1, 1200, '2024-02-28'), (1, 800, '2024-02-29'), (2, 5000, '2024-01-15'), (3, 150, '2024-02-29'),
  (3, 250, '2024-02-29'), (3, 90, '2024-03-01'), (5, 7000, '2023-12-31');

CREATE VIEW totals AS
  SELECT customers.id AS customer, name, country,
         CAST(count(orders.id) AS INTEGER) AS orders,
         CAST(total(cents) / 100 AS REAL) AS spent,
         max(day) AS latest
    FROM customers LEFT JOIN orders ON orders.customer = customers.id
   GROUP BY customers.id;

SELECT json_extract(mmapsync_publish('/dev/shm/mmapsync-view',
                        'totals KEY(customer) INDEX(country COLLATE NOCASE)'),
                    '$.rows', '$.skipped') AS 'rows, skipped indexes';

-- A reader.  A virtual table may have a name of its own; `totals` is what the channel calls it.
.connection 1
.load ./build/mmapsync
CREATE VIRTUAL TABLE temp.customer_totals USING mmapsync('/dev/shm/mmapsync-view', totals);
SELECT name, orders, spent FROM customer_totals WHERE customer = 3;
SELECT name, orders, spent, latest FROM customer_totals WHERE country = 'fr' COLLATE NOCASE;
SELECT country, count(*) AS customers, sum(spent) AS spent FROM customer_totals
 GROUP BY country COLLATE NOCASE ORDER BY spent DESC;

-- What the channel knows of it.
SELECT name, source, rows, keys FROM mmapsync_tables('/dev/shm/mmapsync-view');
SELECT cid, name, nulls, key FROM mmapsync_columns('/dev/shm/mmapsync-view');
