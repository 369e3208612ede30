// mmapsync in Go, by github.com/mattn/go-sqlite3, which compiles a SQLite of its own in.
//
//	host EXTENSION CHANNEL
//
// What this host must be told:
//
//   - Extensions are a field of the driver: register one of your own with them, and every connection of the pool has
//     them.  (The build tag sqlite_omit_load_extension takes that away.)
//   - database/sql hands out any connection of its pool, and opens more as it likes.  What belongs to a
//     connection, as attached tables and pins do, is made in the ConnectHook.
//   - A Rows that is not closed holds its snapshot, and a publisher may wait for it, for the grace time.
//   - A wait holds an operating system thread, not the others; QueryContext interrupts it when the context ends.
package main

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"log"
	"os"

	"github.com/mattn/go-sqlite3"
)

func one(db *sql.DB, query string, values ...any) (value any) {
	if err := db.QueryRow(query, values...).Scan(&value); err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	extension, channel := os.Args[1], os.Args[2]

	sql.Register("mmapsync", &sqlite3.SQLiteDriver{
		Extensions: []string{extension},
	})
	sql.Register("mmapsync-attached", &sqlite3.SQLiteDriver{
		Extensions: []string{extension},
		ConnectHook: func(c *sqlite3.SQLiteConn) error {
			_, err := c.Exec("SELECT mmapsync_attach(?)", []driver.Value{channel})
			return err
		},
	})

	reader, err := sql.Open("mmapsync-attached", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("attached", one(reader, "SELECT mmapsync_attach(?)", channel))
	fmt.Println("price", one(reader, "SELECT price FROM stock WHERE sku = ?", "A-17"))
	fmt.Println("newer", one(reader, "SELECT mmapsync_wait(?, 1, 20000)", channel))
	fmt.Println("rows", one(reader, "SELECT count(*) FROM stock"))

	publisher, err := sql.Open("mmapsync", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	publisher.SetMaxOpenConns(1) // each would have a :memory: database of its own
	for _, statement := range []string{
		"CREATE TABLE word(id INTEGER PRIMARY KEY, name TEXT)",
		"INSERT INTO word VALUES(1, 'one'), (2, 'zwölf')",
	} {
		if _, err := publisher.Exec(statement); err != nil {
			log.Fatal(err)
		}
	}
	one(publisher, "SELECT mmapsync_publish(?, 'word')", channel+"-back")
	fmt.Println("SQLite", one(publisher, "SELECT sqlite_version()"))
}
