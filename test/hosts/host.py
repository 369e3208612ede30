"""mmapsync in Python's own sqlite3 module.

    python3 host.py EXTENSION CHANNEL

What this host must be told:

- Extension loading is off in a new connection, and missing altogether from a Python that was built without it
  (python.org's for macOS, pyenv's unless it was told --enable-loadable-sqlite-extensions): enable_load_extension is
  no method then.  Debian's has it.
- sqlite3 opens a transaction before INSERT, UPDATE and DELETE, and mmapsync_publish() refuses to publish what
  could still be rolled back: commit() first, or open with isolation_level=None, as here.
- A connection belongs to the thread that made it.  Each thread takes its own; what they read is mapped once.
- A wait releases the interpreter's lock, as any statement does: other threads go on.
- Servers that fork (gunicorn, uWSGI, multiprocessing): connect in the worker, not before the fork.  forking.py shows it.
"""

import sqlite3
import sys

extension, channel = sys.argv[1:]


def connect():
    db = sqlite3.connect(":memory:", isolation_level=None)
    if not hasattr(db, "enable_load_extension"):
        sys.exit("skipped: this Python's sqlite3 cannot load extensions")
    db.enable_load_extension(True)
    db.execute("SELECT load_extension(?)", (extension,))
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
print("SQLite", sqlite3.sqlite_version)
