"""mmapsync in APSW, a Python package that brings a SQLite of its own, as a rule the newest.

    python3 host_apsw.py EXTENSION CHANNEL

What this host must be told:

- Extension loading is off in a new connection: enable_load_extension(), as for the sqlite3 module.
- The sqlite3 module and APSW are two copies of SQLite in one process.  Each loads the extension for itself; they
  share what is published, and nothing else.
- APSW has no implicit transactions: publish after COMMIT, and that is all.
"""

import sys

try:
    import apsw
except ImportError:
    sys.exit("skipped: no package apsw")

extension, channel = sys.argv[1:]


def connect():
    db = apsw.Connection(":memory:")
    db.enable_load_extension(True)
    db.load_extension(extension)
    db.enable_load_extension(False)
    return db


def one(db, sql, *values):
    return db.execute(sql, values).fetchone()[0]


reader = connect()
print("attached", one(reader, "SELECT mmapsync_attach(?)", channel))
print("price", one(reader, "SELECT price FROM stock WHERE sku = ?", "A-17"), flush=True)
print("newer", one(reader, "SELECT mmapsync_wait(?, 1, 20000)", channel))
print("rows", one(reader, "SELECT count(*) FROM stock"))

publisher = connect()
publisher.execute("CREATE TABLE word(id INTEGER PRIMARY KEY, name TEXT)")
publisher.executemany("INSERT INTO word VALUES(?, ?)", [(1, "one"), (2, "zwölf")])
publisher.execute("SELECT mmapsync_publish(?, 'word')", (channel + "-back",))
print("SQLite", apsw.sqlite_lib_version())
