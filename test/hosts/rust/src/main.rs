//! mmapsync in Rust, by rusqlite, which compiles a SQLite of its own in (its feature `bundled`).
//!
//!     host EXTENSION CHANNEL
//!
//! What this host must be told:
//!
//! - Loading is a feature of the crate (`load_extension`), and unsafe: an extension is code.  LoadExtensionGuard turns it
//!   on for as long as it lives, and by the C call alone: `SELECT load_extension(...)` stays refused.
//! - A Connection is Send and not Sync: one for each thread, or a pool (r2d2: load and attach in its `with_init`).
//! - Rows that are kept hold their snapshot; they end with the statement, by Rust's own rules.
//! - A program that is all Rust may link the core instead, and need no SQLite: core/mmapsync.h.

use rusqlite::{params, Connection, LoadExtensionGuard, Result};

fn connect(extension: &str) -> Result<Connection> {
    let db = Connection::open_in_memory()?;
    unsafe {
        let _guard = LoadExtensionGuard::new(&db)?;
        db.load_extension(extension, None::<&str>)?;
    }
    Ok(db)
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let (extension, channel) = (&args[1], &args[2]);

    let reader = connect(extension)?;
    let one = |sql: &str, value: &str| -> Result<i64> { reader.query_row(sql, [value], |row| row.get(0)) };
    println!("attached {}", one("SELECT mmapsync_attach(?)", channel)?);
    println!("price {}", one("SELECT price FROM stock WHERE sku = ?", "A-17")?);
    println!("newer {}", one("SELECT mmapsync_wait(?, 1, 20000)", channel)?);
    println!("rows {}", reader.query_row("SELECT count(*) FROM stock", [], |row| row.get::<_, i64>(0))?);

    let publisher = connect(extension)?;
    publisher.execute_batch("CREATE TABLE word(id INTEGER PRIMARY KEY, name TEXT)")?;
    for (id, name) in [(1, "one"), (2, "zwölf")] {
        publisher.execute("INSERT INTO word VALUES(?, ?)", params![id, name])?;
    }
    let back = format!("{channel}-back");
    publisher.query_row("SELECT mmapsync_publish(?, 'word')", [back], |row| row.get::<_, String>(0))?;
    println!("SQLite {}", rusqlite::version());
    Ok(())
}
