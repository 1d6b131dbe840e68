//! Servers that order their certificates themselves: the clients of ACME that people have, and a hostile one.

mod broken_into;
mod clients;
mod faults;
mod hostile;
mod jose;
mod limits;
mod orders;
mod year;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::enrollment::fake_clock;
use crate::support::{HOST, Home, Server, is_root, need, program};

/// The names that accounts of the tests may order.
const NAMES: [&str; 2] = ["www.acme.example", "shop.acme.example"];
/// Where the service writes what it tells.
const LOG: &str = "serve.log";

/// A home whose servers order certificates at [`HOST`].
struct Ordering {
    home: Home,
    server: Server,
    /// The file that says what time it is, where that is not now.
    clock: Option<PathBuf>,
}

/// What a client is given.
struct Given {
    kid: String,
    mac_key: String,
}

impl Ordering {
    fn start() -> Option<Self> {
        Self::of(Home::with_certified_server())
    }

    /// The service of a home that has the server [`HOST`], certified.
    fn of(home: Home) -> Option<Self> {
        Self::run(home, |command| command)
    }

    /// The same, its command changed.
    fn run(home: Home, change: impl Fn(Command) -> Command) -> Option<Self> {
        if !need(&["curl", "openssl"]) {
            return None;
        }
        home.configure("host", &format!("\"{HOST}\""));
        let server = Server::on_free_port(|port| {
            let mut command = change(home.pki(&["serve", "--acme", &format!("127.0.0.1:{port}")]));
            let log = std::fs::File::create(home.path(LOG)).unwrap();
            command.stdin(Stdio::null()).stderr(log);
            command
        });
        Some(Self {
            server: server.expect("the service ended at once"),
            home,
            clock: None,
        })
    }

    /// Ends the service, and starts it again at the same port.
    fn restart(&mut self) {
        let port = self.server.port;
        self.server.end();
        let log = std::fs::File::create(self.home.path(LOG)).unwrap();
        let mut command = self.home.pki(&["serve", "--acme", &format!("127.0.0.1:{port}")]);
        command.stdin(Stdio::null()).stderr(log);
        let is_up = || {
            std::net::TcpStream::connect(("127.0.0.1", port))
                .is_ok()
                .then_some(port)
        };
        self.server = Server::start(&mut command, is_up).expect("the service ended at once");
    }

    fn origin(&self) -> String {
        format!("https://{HOST}:{}", self.server.port)
    }

    /// A new account for [`NAMES`].
    fn account(&self) -> Given {
        self.account_for(NAMES[0], &NAMES[1..])
    }

    fn account_for(&self, host: &str, names: &[&str]) -> Given {
        let mut arguments = vec!["server", "acme", host, "--json"];
        arguments.extend(names.iter().flat_map(|name| ["--name", name]));
        let said = self.home.run(&arguments).json();
        let word = |name: &str| said[name].as_str().unwrap().to_owned();
        Given {
            kid: word("kid"),
            mac_key: word("mac_key"),
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path(LOG)).unwrap()
    }

    /// The accounts that `pki server list` shows.
    fn accounts(&self) -> Vec<Value> {
        let said = self.home.run(&["server", "list", "--json"]).json();
        said["accounts"].as_array().unwrap().clone()
    }
}

/// Has a command go by the clock of a file.
fn go_by(clock: &Path, command: &mut Command) {
    fake_clock(command)
        .env("FAKETIME_TIMESTAMP_FILE", clock)
        .env("FAKETIME_NO_CACHE", "1");
}

/// A program of a machine that knows the names of these tests, and whose system trusts this root alone.
fn on_a_server(root: &Path, name: &str) -> Command {
    let found = program(name);
    let mut command = program("unshare");
    // Nothing else on this machine sees what is mounted there.
    if !is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "sh", "-ec"]);
    command.arg(
        "printf '127.0.0.1 localhost %s\\n' \"$2\" >hosts\n\
         mount --bind hosts /etc/hosts\n\
         mount --bind \"$1\" /etc/ssl/certs/ca-certificates.crt\n\
         shift 2\nexec \"$@\"",
    );
    command
        .arg("sh")
        .arg(root)
        .arg(format!("{HOST} {}", NAMES.join(" ")));
    command.arg(found.get_program());
    command
}
