// mmapsync in Java, by the JDBC driver of org.xerial, which brings a SQLite of its own.
//
//     java -cp sqlite-jdbc.jar:slf4j-api.jar Host.java EXTENSION CHANNEL
//
// (With -Dslf4j.internal.verbosity=ERROR its logging library does not complain that nobody listens.)
//
// What this host must be told:
//
// - Extension loading is off: the connection property enable_load_extension (SQLiteConfig.enableLoadExtension).  With a
//   pool it is a property of the data source, and the SELECT load_extension(...) its connection-init SQL.
// - A JDBC connection is used by one thread at a time.  A pool's connections each attach once, in that same SQL, and
//   stay attached: what they then read is always the newest snapshot.
// - With setAutoCommit(false) every statement is in a transaction.  Reading is as it always is; mmapsync_publish() wants a
//   commit() first.
// - JDBC closes a statement's result late, at the garbage collector's leisure, unless told to: try-with-resources, as
//   here.  An open result holds its snapshot, and a publisher may wait for it, for the grace time.
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Properties;

public class Host {
  static Connection connect(String extension) throws SQLException {
    Properties properties = new Properties();
    properties.setProperty("enable_load_extension", "true");
    Connection db = DriverManager.getConnection("jdbc:sqlite::memory:", properties);
    one(db, "SELECT load_extension(?)", extension);
    return db;
  }

  static String one(Connection db, String sql, Object... values) throws SQLException {
    try (PreparedStatement statement = db.prepareStatement(sql)) {
      for (int i = 0; i < values.length; i++) {
        statement.setObject(i + 1, values[i]);
      }
      try (ResultSet row = statement.executeQuery()) {
        row.next();
        return row.getString(1);
      }
    }
  }

  static void say(String what, String value) {
    System.out.println(what + " " + value);
    System.out.flush();
  }

  public static void main(String[] args) throws SQLException {
    String extension = args[0];
    String channel = args[1];

    Connection reader = connect(extension);
    say("attached", one(reader, "SELECT mmapsync_attach(?)", channel));
    say("price", one(reader, "SELECT price FROM stock WHERE sku = ?", "A-17"));
    say("newer", one(reader, "SELECT mmapsync_wait(?, 1, 20000)", channel));
    say("rows", one(reader, "SELECT count(*) FROM stock"));

    Connection publisher = connect(extension);
    publisher.createStatement().execute("CREATE TABLE word(id INTEGER PRIMARY KEY, name TEXT)");
    publisher.createStatement().execute("INSERT INTO word VALUES(1, 'one'), (2, 'zw\u00f6lf')");
    one(publisher, "SELECT mmapsync_publish(?, 'word')", channel + "-back");
    say("SQLite", one(publisher, "SELECT sqlite_version()"));
  }
}
