//! An application in Node.js that takes signed requests alone, and devices that sign.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::support::{HOST, Home, finish, free_port, need, need_packages, program};

/// By what its clients name the application: something in front of it ends TLS.
pub const ORIGIN: &str = "https://api.acme.example";

/// The application, which ends with the test, and its home. Alice and Bob have keys and certificates in
/// `NAME.key` and `NAME.crt`, Carol had.
pub struct Api {
    pub home: Home,
    pub port: u16,
    _process: Node,
}

/// The home with the devices, and what `pki config` prints for requests; nothing where a program is missing.
pub fn with_devices(packages: &[&str]) -> Option<Home> {
    let modules = need_packages(packages)?;
    if !need(&["node", "openssl"]) {
        return None;
    }
    let home = Home::with_certified_server();
    std::os::unix::fs::symlink(modules, home.path("node_modules")).unwrap();
    for name in ["alice", "bob", "carol"] {
        enroll(&home, name);
    }
    home.run(&["revoke", "carol", "--yes"]).ok();
    server_of_ours(&home);
    let place = home.home().join("server");
    let place = place.to_str().unwrap();
    write(
        &home,
        "requests.mjs",
        &["requests-node", HOST, "--server-dir", place],
    );
    write(&home, "sign-requests.mjs", &["requests-js"]);
    for name in ["api.mjs", "cases.mjs"] {
        std::fs::copy(data(name), home.path(name)).unwrap();
    }
    Some(home)
}

/// Makes a key for a person's laptop, and has it certified.
pub fn enroll(home: &Home, name: &str) {
    home.request(name);
    certify(home, name);
}

/// Has the key that a person's laptop has certified, also once more.
fn certify(home: &Home, name: &str) {
    let request = format!("{name}.csr");
    let address = format!("{name}/phone");
    home.run(&["issue", &address, "--csr", &request, "--out", "made"])
        .ok();
    let made = home.path(format!("made/{name}-phone.crt"));
    std::fs::rename(made, home.path(format!("{name}.crt"))).unwrap();
}

/// Has the same key certified anew, beside the certificate that it has.
pub fn renew(home: &Home, name: &str) {
    let address = format!("{name}/phone");
    home.run(&[
        "renew",
        &address,
        "--csr",
        &format!("{name}.csr"),
        "--out",
        "made",
    ])
    .ok();
    let made = home.path(format!("made/{name}-phone.crt"));
    std::fs::rename(made, home.path(format!("{name}.crt"))).unwrap();
}

/// The server's own key and certificate, in `server.key` and `server.crt`.
fn server_of_ours(home: &Home) {
    let out = home.path("of-the-server");
    home.run(&["server", "issue", HOST, "--out", out.to_str().unwrap()])
        .ok();
    for ending in ["crt", "key"] {
        let made = out.join(format!("{HOST}.{ending}"));
        std::fs::rename(made, home.path(format!("server.{ending}"))).unwrap();
    }
}

/// Writes what `pki config` prints.
fn write(home: &Home, name: &str, arguments: &[&str]) {
    let said = home.run(&[&["config"], arguments].concat()).ok();
    std::fs::write(home.path(name), said.stdout).unwrap();
}

/// A file of the tests.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/requests")
        .join(name)
}

impl Api {
    /// Starts it by this framework: `plain`, `express` or `fastify`.
    pub fn start(home: Home, framework: &str, more: &[&str]) -> Self {
        Self::of_origin(home, framework, ORIGIN, more)
    }

    /// As [`Self::start`], under another name.
    pub fn of_origin(home: Home, framework: &str, origin: &str, more: &[&str]) -> Self {
        Self::at(home, framework, free_port(), origin, more)
    }

    /// As [`Self::of_origin`], at this port.
    pub fn at(home: Home, framework: &str, port: u16, origin: &str, more: &[&str]) -> Self {
        let process = serve(&home, framework, port, origin, more);
        Self {
            home,
            port,
            _process: process,
        }
    }

    /// Waits until it has read what was published last: it looks twice a second.
    pub fn until_read(&self) {
        std::thread::sleep(Duration::from_millis(1500));
    }

    /// What a script says that is given the port and the origin.
    pub fn says(&self, script: &str) -> String {
        let mut node = program("node");
        node.args([script, &self.port.to_string(), ORIGIN]);
        finish(node.current_dir(self.home.path("")), b"").ok().stdout
    }
}

/// Starts the application, and waits until it listens.
pub fn serve(home: &Home, framework: &str, port: u16, origin: &str, more: &[&str]) -> Node {
    let port = port.to_string();
    node(home, &[&["api.mjs", framework, &port, origin][..], more].concat())
}

/// A process of Node.js that ends with the test.
pub struct Node(Child);

/// Starts a script, and waits until it listens.
pub fn node(home: &Home, arguments: &[&str]) -> Node {
    let mut node = program("node");
    node.args(arguments)
        .current_dir(home.path(""))
        .stdout(Stdio::piped());
    let mut process = node.spawn().unwrap();
    let mut said = BufReader::new(process.stdout.take().unwrap());
    let mut text = String::new();
    while !text.trim_end().ends_with("listening") {
        assert!(said.read_line(&mut text).unwrap() > 0, "{text}");
    }
    // What it says later has a reader, or it would end at the first line.
    std::thread::spawn(move || said.lines().count());
    Node(process)
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
