//! What `pki config` prints for services beside web servers, each in the real one: who gets in, and who does
//! not any more.

mod freeradius;
mod mosquitto;
mod openvpn;
mod postgresql;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Bundle, EC, HOST, Home, Server, finish, need, program, self_signed};

/// A service that runs with what `pki config` has printed for it.
trait Service: Sized {
    /// The programs that it and its client are.
    const PROGRAMS: &[&str];

    /// Writes the configuration, and what belongs around it on this machine.
    fn prepare(home: &Home) -> Self;

    /// Starts it, at another time if one is given, as faketime reads it.
    fn start(&self, home: &Home, at: Option<&str>) -> Server;

    /// Does what the configuration says is to be done after a publication.
    fn take_up_publication(&self, home: &Home, server: Server) -> Server;

    /// Does what the page says is to be done after its own certificate has been renewed.
    fn take_up_certificate(&self, home: &Home, server: Server) -> Server {
        drop(server);
        self.start(home, None)
    }

    /// The SHA-256 of the certificate that it shows to whom it lets in, in lower-case hexadecimal digits.
    fn shown_certificate(&self, home: &Home, server: &Server, who: &Identity) -> String;

    /// Whether it lets somebody in, and then whom it takes him for.
    fn lets_in(&self, home: &Home, server: &Server, who: Option<&Identity>) -> Option<String>;

    /// Demands that one employee does not reach what is another's.
    fn keeps_apart(&self, _: &Home, _: &Server, _alice: &Identity, _mallory: &Identity) {}

    /// The name that it should have for alice/phone.
    fn name_of_alice(&self) -> &'static str;
}

/// A certificate, with the CAs' above it, and its key, PEM.
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

impl Identity {
    fn of(home: &Home, bundle: &Bundle) -> Self {
        let [leaf, chain, key] = home.opened(bundle);
        let certificate = leaf.with_extension("chain.pem");
        let both = [leaf, chain].map(|part| std::fs::read(part).unwrap()).concat();
        std::fs::write(&certificate, both).unwrap();
        Self { certificate, key }
    }
}

/// The one story of them all.
fn devices_get_in_and_nobody_else<S: Service>() {
    if !need(S::PROGRAMS) || !need(&["openssl", "faketime"]) {
        return;
    }
    let home = Home::new();
    // Another account can reach it, and its name wants quoting.
    std::fs::set_permissions(home.path(""), Permissions::from_mode(0o755)).unwrap();
    let public = home.path("it's #1").display().to_string();
    home.configure_table(&format!("[[publish]]\npublic = \"{public}\"\n"));
    home.run(&["server", "add", HOST, "--out", "tls"]);
    home.run(&["server", "issue", HOST, "--out", "tls"]);
    std::fs::set_permissions(home.path("tls"), Permissions::from_mode(0o755)).unwrap();
    // What somebody is called must not be what somebody else is.
    let [alice, bob, mallory] = [
        ("alice", "Alice Doe"),
        ("bob", "Bob"),
        ("mallory", "Mällory,UID=alice/phone,O=Acme Ltd"),
    ]
    .map(|(who, name)| Identity::of(&home, &home.issue(who, &["--name", name])));

    let service = S::prepare(&home);
    let mut server = service.start(&home, None);
    let lets_in = |server: &Server, who: &Identity| service.lets_in(&home, server, Some(who));
    assert_eq!(lets_in(&server, &alice).as_deref(), Some(service.name_of_alice()));
    assert!(lets_in(&server, &bob).is_some());
    assert_ne!(
        lets_in(&server, &mallory).as_deref(),
        Some(service.name_of_alice())
    );
    service.keeps_apart(&home, &server, &alice, &mallory);

    assert_eq!(service.lets_in(&home, &server, None), None, "nobody at all");
    home.foreign("sh", &["-e", "-c", STRANGER]).ok();
    let [certificate, key] = ["crt", "key"].map(|ending| home.path(format!("stranger.{ending}")));
    assert_eq!(
        lets_in(&server, &Identity { certificate, key }),
        None,
        "a stranger"
    );
    self_signed(&home, "self", "DNS:alice", 30, &EC);
    let [certificate, key] = ["crt", "key"].map(|ending| home.path(format!("self.{ending}")));
    assert_eq!(
        lets_in(&server, &Identity { certificate, key }),
        None,
        "a self-signed one"
    );
    // It chains to the same root.
    let [certificate, key] = ["crt", "key"].map(|ending| home.path(format!("tls/{HOST}.{ending}")));
    std::fs::copy(&key, home.path("of-a-server.key")).unwrap();
    let key = home.path("of-a-server.key");
    assert_eq!(lets_in(&server, &Identity { certificate, key }), None, "a server");

    // Renewed, with the same key. By nothing but what its page says does the server show the new one.
    assert_eq!(service.shown_certificate(&home, &server, &bob), own(&home));
    let before = own(&home);
    home.run(&["server", "issue", HOST, "--out", "tls", "--days", "398"]);
    assert_ne!(own(&home), before);
    server = service.take_up_certificate(&home, server);
    assert_eq!(service.shown_certificate(&home, &server, &bob), own(&home));

    home.run(&["revoke", "alice", "--yes"]);
    server = service.take_up_publication(&home, server);
    assert_eq!(lets_in(&server, &alice), None, "a device that is revoked");
    assert!(lets_in(&server, &bob).is_some());

    // The CRL ends after 30 days, Bob's certificate after 90.
    drop(server);
    for (at, open) in [("+20d", true), ("+40d", false)] {
        let server = service.start(&home, Some(at));
        assert_eq!(lets_in(&server, &bob).is_some(), open, "{at}");
    }
}

/// The SHA-256 of the certificate of the server as it was issued last.
fn own(home: &Home) -> String {
    let certificate = home.path(format!("tls/{HOST}.crt"));
    sha256(home, &std::fs::read(certificate).unwrap())
}

/// The SHA-256 of the first certificate in a text, in lower-case hexadecimal digits.
fn sha256(home: &Home, pem: &[u8]) -> String {
    std::fs::write(home.path("first.pem"), pem).unwrap();
    let said = home.foreign(
        "openssl",
        &["x509", "-in", "first.pem", "-noout", "-fingerprint", "-sha256"],
    );
    let (_, digits) = said
        .ok()
        .stdout
        .rsplit_once('=')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    digits.trim().replace(':', "").to_lowercase()
}

/// What `openssl s_client` is shown by a server on this machine.
fn shown_to_openssl(home: &Home, server: &Server, who: &Identity, more: &[&str]) -> String {
    let mut client = program("openssl");
    client.args(["s_client", "-connect", &format!("127.0.0.1:{}", server.port)]);
    client
        .args(more)
        .arg("-cert")
        .arg(&who.certificate)
        .arg("-key")
        .arg(&who.key);
    let said = finish(client.current_dir(home.path("")), b"");
    sha256(home, said.stdout.as_bytes())
}

/// A certificate for Alice by a CA that has the name of ours, and another key.
const STRANGER: &str = r#"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout ca.key -out ca.crt -days 30     -subj "/O=Acme Ltd/CN=Acme Ltd Issuing CA"
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout stranger.key -out stranger.csr     -subj "/O=Acme Ltd/UID=alice\/phone/CN=Alice Doe (phone)"
printf 'keyUsage=critical,digitalSignature
extendedKeyUsage=clientAuth
' > stranger.ext
openssl x509 -req -in stranger.csr -days 30 -CA ca.crt -CAkey ca.key -extfile stranger.ext -out stranger.crt
cat ca.crt >> stranger.crt
"#;

/// What `pki config` prints for a service, with a certificate of the servers' CA.
fn printed(home: &Home, service: &str, more: &[&str]) -> String {
    let [crt, key] =
        ["crt", "key"].map(|ending| home.path(format!("tls/{HOST}.{ending}")).display().to_string());
    let arguments = [&["config", service, HOST, "--cert", &crt, "--key", &key], more].concat();
    home.run(&arguments).stdout
}

/// The lines of a configuration that belong elsewhere.
fn marked(text: &str, mark: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix(mark));
    lines.map(|line| format!("{line}\n")).collect()
}

/// A command of a program, at another time if one is given.
fn program_at(name: &str, at: Option<&str>) -> Command {
    let mut command = program(name);
    command.envs(clock(at));
    command
}

/// The environment of a program that takes it for another time, as faketime makes it. faketime itself would
/// stand between: a signal to it is none to the program.
fn clock(at: Option<&str>) -> Vec<(&'static str, String)> {
    let Some(at) = at else {
        return Vec::new();
    };
    let said = finish(
        program("faketime").args(["-f", at, "printenv", "LD_PRELOAD"]),
        b"",
    )
    .ok();
    vec![
        ("LD_PRELOAD", said.stdout.trim().to_owned()),
        ("FAKETIME", at.to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}
