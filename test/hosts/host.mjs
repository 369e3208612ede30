// mmapsync in Node.js, which from 22.5 on has a SQLite of its own (node:sqlite).
//
//     node host.mjs EXTENSION CHANNEL
//
// What this host must be told:
//
// - Extensions can be loaded only by a connection opened with allowExtension, and by it until
//   enableLoadExtension(false).  With the permission model (--permission) not at all.
// - Everything runs in the thread that calls, so mmapsync_wait() stops the event loop: wait in a worker thread, or
//   ask with a timeout of 0 from a timer.
// - A worker thread opens connections of its own.  They map the same pages.
// - 64-bit integers, such as mmapsync_version(), do not fit a JavaScript number: setReadBigInts(true).
// - better-sqlite3 is the same story: db.loadExtension(path).
let DatabaseSync;
try {
  ({ DatabaseSync } = await import("node:sqlite"));
} catch {
  console.log("skipped: this Node.js has no node:sqlite");
  process.exit(1);
}

const [extension, channel] = process.argv.slice(2);

function connect() {
  const db = new DatabaseSync(":memory:", { allowExtension: true });
  db.loadExtension(extension);
  db.enableLoadExtension(false);
  return db;
}

function one(db, sql, ...values) {
  return Object.values(db.prepare(sql).get(...values))[0];
}

const reader = connect();
console.log("attached", one(reader, "SELECT mmapsync_attach(?)", channel));
console.log("price", one(reader, "SELECT price FROM stock WHERE sku = ?", "A-17"));
console.log("newer", one(reader, "SELECT mmapsync_wait(?, 1, 20000)", channel));
console.log("rows", one(reader, "SELECT count(*) FROM stock"));

const publisher = connect();
publisher.exec("CREATE TABLE word(id INTEGER PRIMARY KEY, name TEXT)");
const insert = publisher.prepare("INSERT INTO word VALUES(?, ?)");
insert.run(1, "one");
insert.run(2, "zwölf");
one(publisher, "SELECT mmapsync_publish(?, 'word')", channel + "-back");
console.log("SQLite", one(publisher, "SELECT sqlite_version()"));
