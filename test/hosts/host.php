<?php
/*
** mmapsync in PHP's class SQLite3.
**
**     php -d sqlite3.extension_dir=FOLDER host.php FILE CHANNEL
**
** What this host must be told:
**
** - Extensions come from one folder, which php.ini names (sqlite3.extension_dir); FILE is a name in it.  Without that
**   setting loading is refused.  PDO could load none before PHP 8.4 (Pdo\Sqlite::loadExtension).
** - A connection ends with the request, unless it is kept.  To open, load and attach takes some 100 us; a server with many
**   short requests keeps one connection for each worker, in a static variable.
** - php-fpm forks its workers before any of this runs, so nothing is carried across a fork.
** - A SQLite3Result holds its snapshot until it is finalized or goes out of scope.
*/
[, $file, $channel] = $argv;

function connect(string $file): SQLite3 {
  $db = new SQLite3(":memory:");
  $db->enableExceptions(true);
  $db->loadExtension($file);
  return $db;
}

function one(SQLite3 $db, string $sql, ...$values) {
  $statement = $db->prepare($sql);
  foreach ($values as $i => $value) $statement->bindValue($i + 1, $value);
  $result = $statement->execute();
  $value = $result->fetchArray(SQLITE3_NUM)[0];
  $result->finalize();
  return $value;
}

$reader = connect($file);
echo "attached ", one($reader, "SELECT mmapsync_attach(?)", $channel), "\n";
echo "price ", one($reader, "SELECT price FROM stock WHERE sku = ?", "A-17"), "\n";
echo "newer ", one($reader, "SELECT mmapsync_wait(?, 1, 20000)", $channel), "\n";
echo "rows ", one($reader, "SELECT count(*) FROM stock"), "\n";

$publisher = connect($file);
$publisher->exec("CREATE TABLE word(id INTEGER PRIMARY KEY, name TEXT)");
$publisher->exec("INSERT INTO word VALUES(1, 'one'), (2, 'zwölf')");
one($publisher, "SELECT mmapsync_publish(?, 'word')", $channel . "-back");
echo "SQLite ", SQLite3::version()["versionString"], "\n";
