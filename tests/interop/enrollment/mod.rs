//! Devices that enroll themselves: a service that runs, and what its faces are asked by curl in the place of
//! the phone, with OpenSSL's keys.

mod accessible;
mod aging;
mod android;
pub mod browser;
mod crowd;
mod documented;
mod doubt;
mod est;
mod handout;
mod invites;
pub mod judges;
mod leaks;
mod lists;
mod octets;
mod operations;
mod page;
mod phone;
mod race;
mod redeeming;
mod renewing;
mod service;
mod shared_key;
mod sheet;
mod status;
mod strangers;

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{HOST, Home, Server, ServerCertificate, finish, free_port, need, wait_until};

const TOOLS: [&str; 2] = ["curl", "openssl"];
/// Where the service writes what it tells.
const LOG: &str = "serve.log";

/// A home with a service that runs until it is dropped.
struct Serving {
    log: Log,
    home: Home,
    server: Server,
    /// By how much its clock, and that of whoever asks, is ahead.
    ahead: &'static str,
}

/// Gives the page of a home a new certificate, and says by which name devices are served.
fn prepare(home: &Home, device_host: &str) {
    let page = ServerCertificate::make(home);
    home.configure("device_host", &format!("\"{device_host}\""));
    for (key, path) in [("page_certificate", page.certificate), ("page_key", page.key)] {
        home.configure(key, &format!("\"{}\"", path.display()));
    }
}

/// What the service writes to stderr; shown where the test fails.
struct Log(std::path::PathBuf);

impl Log {
    fn of(home: &Home) -> Self {
        Self(home.path(LOG))
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = std::fs::read_to_string(&self.0).unwrap_or_default();
            eprintln!("--- the service said\n{said}");
        }
    }
}

/// An invite as `pki invite create --json` tells it.
struct Invite(Value);

impl Invite {
    fn word(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }
}

impl Serving {
    fn start() -> Option<Self> {
        Self::of(Home::with_server())
    }

    fn of(home: Home) -> Option<Self> {
        Self::ahead(home, "+0d")
    }

    /// As [`Self::of`], at another time.
    fn ahead(home: Home, ahead: &'static str) -> Option<Self> {
        Self::told(home, ahead, &[])
    }

    /// As [`Self::ahead`], and told this as well.
    fn told(home: Home, ahead: &'static str, arguments: &[&str]) -> Option<Self> {
        Self::reached_at(home, HOST, ahead, arguments)
    }

    /// As [`Self::told`], where apps are told to reach the device face by this name.
    fn reached_at(home: Home, device_host: &str, ahead: &'static str, arguments: &[&str]) -> Option<Self> {
        if !need(&TOOLS) {
            return None;
        }
        prepare(&home, device_host);
        Self::prepared(home, ahead, arguments)
    }

    /// The service of a home that is prepared for it.
    fn prepared(home: Home, ahead: &'static str, arguments: &[&str]) -> Option<Self> {
        Self::changed(home, ahead, |mut command| {
            live_at(ahead, &mut command);
            command.args(arguments);
            command
        })
    }

    /// As [`Self::ahead`], its command changed.
    fn run(home: Home, ahead: &'static str, change: impl Fn(Command) -> Command) -> Option<Self> {
        if !need(&TOOLS) {
            return None;
        }
        prepare(&home, HOST);
        Self::changed(home, ahead, change)
    }

    fn changed(home: Home, ahead: &'static str, change: impl Fn(Command) -> Command) -> Option<Self> {
        let log = Log::of(&home);
        let server = Server::on_free_port(|port| {
            home.configure("host", &format!("\"{HOST}:{port}\""));
            let mut command = change(home.pki(&["serve", "--page", &format!("127.0.0.1:{port}")]));
            let log = std::fs::File::create(home.path(LOG)).unwrap();
            command.stdin(Stdio::null()).stderr(log);
            command
        });
        Some(Self {
            log,
            server: server.expect("the service ended at once"),
            home,
            ahead,
        })
    }

    fn invite(&self, arguments: &[&str]) -> Invite {
        let all = [&["invite", "create", "--json"], arguments].concat();
        Invite(self.home.run(&all).json())
    }

    /// A new key in NAME.key, and a request for it: PEM.
    fn request(&self, name: &str) -> String {
        self.home.request(name)
    }

    /// What is answered to a request for this invite: the status, and the body.
    fn redeem(&self, id: &str, body: &Value) -> (u16, String) {
        self.post(id, &body.to_string(), "")
    }

    fn post(&self, id: &str, body: &str, more: &str) -> (u16, String) {
        let file = self.home.write_private("request.json", body);
        let config = format!(
            "header = \"Content-Type: application/json\"\ndata-binary = \"@{}\"\n{more}",
            file.display()
        );
        self.ask(&format!("/i/{id}"), &config)
    }

    fn ask(&self, path: &str, config: &str) -> (u16, String) {
        let (status, said) = self.server.curl_with(&self.home, None, path, config);
        let body = said.stdout.rsplit_once('\n').unwrap().0.to_owned();
        (status.unwrap_or_else(|| panic!("{said}")), body)
    }

    /// The events of the ledger but for publications, which follow some time after what they are for.
    fn ledger(&self) -> String {
        let text = std::fs::read_to_string(self.home.home().join("ledger.jsonl")).unwrap();
        let lines = text.split_inclusive('\n');
        lines
            .filter(|line| !line.contains("\"event\":\"published\""))
            .collect()
    }

    fn invites(&self) -> Vec<Value> {
        let said = self.home.run(&["invite", "list", "--json"]).json();
        said["invites"].as_array().unwrap().clone()
    }

    /// Whether servers are told to let this certificate in.
    fn is_published(&self, serial: &str) -> bool {
        let list = std::fs::read_to_string(self.home.server("allowed.map"));
        list.is_ok_and(|list| list.contains(serial))
    }
}

/// Has a command run at another time.
fn live_at(ahead: &str, command: &mut Command) {
    if ahead != "+0d" {
        fake_clock(command).env("FAKETIME", ahead);
        // Where time goes faster, what is waited for does as well.
        if ahead.contains('x') {
            command
                .env_remove("FAKETIME_DONT_FAKE_MONOTONIC")
                .env_remove("DONT_FAKE_MONOTONIC");
        }
    }
}

/// A command that asks faketime what time it is.
fn by_faked_clock(mut command: Command) -> Command {
    fake_clock(&mut command);
    command
}

/// As faketime does, which would stand between a signal and the command.
pub fn fake_clock(command: &mut Command) -> &mut Command {
    command
        .env("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
}

/// Sets the clock of everybody who goes by the file `clock`. Whoever looks meanwhile sees the one time or the
/// other, and never an empty file.
pub fn set_clock(home: &Home, offset: &str) {
    std::fs::write(home.path("clock.next"), offset).unwrap();
    std::fs::rename(home.path("clock.next"), home.path("clock")).unwrap();
}

fn kind_of(body: &str) -> String {
    let said: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{body}"));
    said["error"]["kind"].as_str().unwrap().to_owned()
}

/// A home whose service serves devices by EST as well, at this port.
fn with_est() -> Option<(Serving, u16)> {
    if !need(&TOOLS) {
        return None;
    }
    with_est_of(Home::with_certified_server(), "+0d")
}

fn with_est_of(home: Home, ahead: &'static str) -> Option<(Serving, u16)> {
    let port = free_port();
    home.configure("device", &format!("\"127.0.0.1:{port}\""));
    let serving = Serving::reached_at(home, &format!("{HOST}:{port}"), ahead, &[])?;
    wait_until("the device face", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    Some((serving, port))
}

/// The home at that time, with its timer having run.
fn later(serving: Serving, ahead: &'static str) -> Option<(Serving, u16)> {
    let Serving { home, mut server, .. } = serving;
    server.end();
    finish(
        &mut home.pki_at(ahead, &["publish", "--confirm", "CLOCK", "-q"]),
        b"",
    )
    .ok();
    with_est_of(home, ahead)
}

impl Serving {
    /// What EST answers: status and body.
    fn est(&self, port: u16, operation: &str, config: &str) -> (u16, String) {
        self.device_face(port, &format!(".well-known/est/{operation}"), config)
    }

    /// What the face of devices answers at this path: status and body.
    fn device_face(&self, port: u16, path: &str, config: &str) -> (u16, String) {
        let url = format!(
            "url = \"https://{HOST}:{port}/{path}\"\npath-as-is\nresolve = \"{HOST}:{port}:127.0.0.1\"\n\
             noproxy = \"*\"\ncacert = \"home/public/ca/root.crt\"\nsilent\nshow-error\nmax-time = 30\n\
             write-out = \"\\n%{{http_code}}\"\n{config}"
        );
        let curl = ["curl", "--disable", "--config", "-"];
        let said = match self.ahead {
            "+0d" => self.home.foreign_given(curl[0], &curl[1..], url.as_bytes()),
            ahead => {
                let at = [&["-f", ahead], &curl[..]].concat();
                self.home.foreign_given("faketime", &at, url.as_bytes())
            }
        };
        let (body, status) = said.stdout.rsplit_once('\n').unwrap_or_else(|| panic!("{said}"));
        (status.parse().unwrap(), body.to_owned())
    }

    /// Writes the certificate of an answer of EST as PEM, and says its serial number.
    fn unpacked(&self, body: &str, file: &str) -> String {
        assert_eq!(body.lines().count(), 1, "{body}");
        std::fs::write(
            self.home.path("answer.p7"),
            data_encoding::BASE64.decode(body.as_bytes()).unwrap(),
        )
        .unwrap();
        let out = [
            "pkcs7",
            "-inform",
            "DER",
            "-in",
            "answer.p7",
            "-print_certs",
            "-out",
            file,
        ];
        self.home.foreign("openssl", &out).ok();
        let serial = self
            .home
            .foreign("openssl", &["x509", "-in", file, "-noout", "-serial"])
            .ok();
        serial.stdout.trim().trim_start_matches("serial=").to_owned()
    }

    /// Asks for a new certificate by this one.
    fn reenroll(&self, port: u16, by: &str, csr: &str) -> (u16, String) {
        let body = self.home.write_private("request.csr", csr);
        let config = format!(
            "header = \"Content-Type: application/pkcs10\"\ndata-binary = \"@{}\"\ncert = \"{by}.pem\"\nkey = \"{by}.key\"\n",
            body.display()
        );
        self.est(port, "simplereenroll", &config)
    }

    fn simple_enroll(&self, port: u16, credentials: &str, csr: &str) -> (u16, String) {
        let body = self.home.write_private("request.csr", csr);
        let config = format!(
            "header = \"Content-Type: application/pkcs10\"\ndata-binary = \"@{}\"\n{credentials}",
            body.display()
        );
        self.est(port, "simpleenroll", &config)
    }
}

/// A home whose service answers for status, at this port.
fn with_status() -> Option<(Serving, u16)> {
    if !need(&TOOLS) {
        return None;
    }
    let home = Home::with_server();
    let port = free_port();
    home.configure("status", &format!("\"127.0.0.1:{port}\""));
    let serving = Serving::of(home)?;
    wait_until("the status face", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    Some((serving, port))
}
