"""mmapsync under a server that forks its workers, as gunicorn, uWSGI and php-fpm do.

    python3 forking.py EXTENSION CHANNEL

The master publishes before it forks, and again while its workers serve.  Each worker connects after the fork: a SQLite
connection must not be carried across one (that is SQLite's own rule), and a snapshot that the master holds at that
moment would stay held for as long as the worker lives.  In gunicorn that place is the hook post_fork, in uWSGI
@postfork, in php-fpm the first request.  All workers map the same pages: a worker more costs no memory to speak of.
"""

import os
import sqlite3
import sys

extension, channel = sys.argv[1:]
WORKERS = 4


def connect():
    db = sqlite3.connect(":memory:", isolation_level=None)
    if not hasattr(db, "enable_load_extension"):
        sys.exit("skipped: this Python's sqlite3 cannot load extensions")
    db.enable_load_extension(True)
    db.execute("SELECT load_extension(?)", (extension,))
    return db


def one(db, sql, *values):
    return db.execute(sql, values).fetchone()[0]


def work(number, say):
    db = connect()
    one(db, "SELECT mmapsync_attach(?)", channel)
    before = one(db, "SELECT total FROM job")
    os.write(say, b".")  # ready
    one(db, "SELECT mmapsync_wait(?, 1, 20000)", channel)
    after = one(db, "SELECT total FROM job")
    sys.exit(0 if (before, after) == (100, 200) else 1)


master = connect()
master.execute("CREATE TABLE job(total INTEGER)")
master.execute("INSERT INTO job VALUES(100)")
one(master, "SELECT mmapsync_publish(?, 'job')", channel)

hear, say = os.pipe()
workers = []
for number in range(WORKERS):
    pid = os.fork()
    if pid == 0:
        work(number, say)
    workers.append(pid)
ready = 0
while ready < WORKERS:
    ready += len(os.read(hear, WORKERS))
master.execute("UPDATE job SET total = 200")
one(master, "SELECT mmapsync_publish(?, 'job')", channel)
good = sum(os.waitpid(pid, 0)[1] == 0 for pid in workers)
print(good, "of", WORKERS, "workers saw both snapshots")
