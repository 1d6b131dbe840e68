//! PostgreSQL, by an account of its own (it does not run as root), and psql.

use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::{Command, Stdio};

use super::{Identity, Service, clock, devices_get_in_and_nobody_else, marked, printed, shown_to_openssl};
use crate::support::{HOST, Home, Server, finish, found, is_root, need, program, wait_until};

struct Postgresql;

#[test]
fn postgresql_lets_in_devices_and_nobody_else() {
    if is_there() {
        devices_get_in_and_nobody_else::<Postgresql>();
    }
}

/// Debian has the server's programs in a directory of its version.
fn is_there() -> bool {
    match server_program("postgres") {
        Some(_) => true,
        None => need(&["postgres"]),
    }
}

fn server_program(name: &str) -> Option<String> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut there: Vec<String> = versions
        .map(|version| {
            version
                .unwrap()
                .path()
                .join("bin")
                .join(name)
                .display()
                .to_string()
        })
        .filter(|path| std::path::Path::new(path).is_file())
        .collect();
    there.sort();
    there
        .pop()
        .or_else(|| found(name).map(|path| path.display().to_string()))
}

/// A program of the server, by an account that is not root, at another time if one is given.
fn of_the_server(home: &Home, name: &str, at: Option<&str>) -> Command {
    let own = server_program(name).unwrap();
    let mut command = program(if is_root() { "setpriv" } else { "env" });
    if is_root() {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "env"]);
    }
    // What belongs to faketime must be that account's, too.
    command.args(clock(at).iter().map(|(name, value)| format!("{name}={value}")));
    command.arg(own).current_dir(home.path("database"));
    command
}

impl Service for Postgresql {
    const PROGRAMS: &[&str] = &["psql"];

    fn prepare(home: &Home) -> Self {
        let database = home.path("database");
        std::fs::create_dir(&database).unwrap();
        let key = home.path(format!("tls/{HOST}.key"));
        if is_root() {
            chown(&database, Some(65534), Some(65534)).unwrap();
            chown(&key, Some(65534), Some(65534)).unwrap();
        }
        let mut initdb = of_the_server(home, "initdb", None);
        finish(
            initdb.args(["-D", "data", "-U", "postgres", "-A", "trust", "-N"]),
            b"",
        )
        .ok();
        let text = printed(home, "postgresql", &[]);
        let data = database.join("data");
        let write = |file: &str, text: String| std::fs::write(data.join(file), text).unwrap();
        write("pki.conf", text.clone());
        write(
            "pg_hba.conf",
            format!("local all all trust\n{}", marked(&text, "# pg_hba.conf: ")),
        );
        write("pg_ident.conf", marked(&text, "# pg_ident.conf: "));
        let own = std::fs::read_to_string(data.join("postgresql.conf")).unwrap();
        write(
            "postgresql.conf",
            format!("{own}\ninclude 'pki.conf'\nfsync = off\n"),
        );
        Self
    }

    fn start(&self, home: &Home, at: Option<&str>) -> Server {
        let log = File::options()
            .append(true)
            .create(true)
            .open(home.path("postgresql.log"))
            .unwrap();
        let sockets = home.path("database").display().to_string();
        let command = |port: u16| {
            let mut postgres = of_the_server(home, "postgres", at);
            postgres.args([
                "-D",
                "data",
                "-h",
                "127.0.0.1",
                "-k",
                &sockets,
                "-p",
                &port.to_string(),
            ]);
            postgres
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log.try_clone().unwrap());
            postgres
        };
        let server = Server::on_free_port(command).unwrap_or_else(|| {
            panic!(
                "{}",
                std::fs::read_to_string(home.path("postgresql.log")).unwrap()
            )
        });
        let roles = "do $$ begin create role alice login; create role bob login; create role mallory login; \
                     exception when duplicate_object then null; end $$";
        wait_until("PostgreSQL", || {
            (operator(home, &server, roles).code == Some(0)).then_some(())
        });
        server
    }

    fn take_up_publication(&self, home: &Home, server: Server) -> Server {
        let reloads = || {
            let log = std::fs::read_to_string(home.path("postgresql.log")).unwrap();
            log.matches("received SIGHUP").count()
        };
        let before = reloads();
        operator(home, &server, "select pg_reload_conf()").ok();
        wait_until("a reload", || (reloads() > before).then_some(()));
        server
    }

    fn take_up_certificate(&self, home: &Home, server: Server) -> Server {
        self.take_up_publication(home, server)
    }

    fn shown_certificate(&self, home: &Home, server: &Server, who: &Identity) -> String {
        shown_to_openssl(home, server, who, &["-starttls", "postgres"])
    }

    fn lets_in(&self, home: &Home, server: &Server, who: Option<&Identity>) -> Option<String> {
        ["alice", "bob", "mallory"]
            .iter()
            .find_map(|role| session(home, server, who, role))
    }

    fn keeps_apart(&self, home: &Home, server: &Server, _: &Identity, mallory: &Identity) {
        assert_eq!(session(home, server, Some(mallory), "alice"), None);
        assert_eq!(
            session(home, server, Some(mallory), "mallory").as_deref(),
            Some("mallory")
        );
        // An employee may be called as the superuser is.
        let postgres = Identity::of(home, &home.issue("postgres", &[]));
        assert_eq!(session(home, server, Some(&postgres), "postgres"), None);
    }

    fn name_of_alice(&self) -> &'static str {
        "alice"
    }
}

/// What the one who runs the server says to it.
fn operator(home: &Home, server: &Server, what: &str) -> crate::support::Finished {
    let mut psql = program("psql");
    psql.args([
        "-h",
        home.path("database").to_str().unwrap(),
        "-p",
        &server.port.to_string(),
    ]);
    finish(
        psql.args(["-U", "postgres", "-d", "postgres", "-qAtc", what]),
        b"",
    )
}

/// Whom the server takes somebody for who says that he is this role.
fn session(home: &Home, server: &Server, who: Option<&Identity>, role: &str) -> Option<String> {
    let mut about = format!(
        "host={HOST} hostaddr=127.0.0.1 port={} dbname=postgres user={role} sslmode=verify-full sslrootcert=home/public/ca/root.crt",
        server.port
    );
    if let Some(Identity { certificate, key }) = who {
        std::fs::set_permissions(key, Permissions::from_mode(0o600)).unwrap();
        about.push_str(&format!(
            " sslcert='{}' sslkey='{}'",
            certificate.display(),
            key.display()
        ));
    }
    let mut psql = program("psql");
    psql.args([&about, "-wAtc", "select current_user"])
        .current_dir(home.path(""));
    let said = finish(psql.env("HOME", home.path("")), b"");
    (said.code == Some(0)).then(|| said.stdout.trim().to_owned())
}
