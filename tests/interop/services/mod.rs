//! What `pki config` prints for services beside web servers, each in the real one: who gets in, and who does not any more.

mod freeradius;

use std::path::PathBuf;

use crate::support::{Bundle, EC, HOST, Home, Server, ServerCertificate, finish, need, program, self_signed};

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

    /// Whether it lets somebody in, and then whom it takes him for.
    fn lets_in(&self, home: &Home, server: &Server, who: Option<&Identity>) -> Option<String>;

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
    let home = Home::staffed();
    ServerCertificate::make(&home);
    let service = S::prepare(&home);
    let mut server = service.start(&home, None);
    let [alice, bob] = [home.alice(), home.bob()].map(|bundle| Identity::of(&home, &bundle));
    let lets_in = |server: &Server, who: &Identity| service.lets_in(&home, server, Some(who));
    assert_eq!(lets_in(&server, &alice).as_deref(), Some(service.name_of_alice()));
    assert!(lets_in(&server, &bob).is_some());

    assert_eq!(service.lets_in(&home, &server, None), None, "nobody at all");
    let other = Home::bare();
    let stranger = other.issue("alice", &["--name", "Alice Doe"]);
    assert_eq!(
        lets_in(&server, &Identity::of(&other, &stranger)),
        None,
        "a stranger"
    );
    self_signed(&home, "self", "DNS:alice", 30, &EC);
    let own = Identity {
        certificate: home.path("self.crt"),
        key: home.path("self.key"),
    };
    assert_eq!(lets_in(&server, &own), None, "a self-signed one");
    // It chains to the same root.
    home.run(&["server", "add", HOST, "--out", "tls"]);
    home.run(&["server", "issue", HOST, "--out", "tls"]);
    let [certificate, key] = ["crt", "key"].map(|ending| home.path(format!("tls/{HOST}.{ending}")));
    assert_eq!(lets_in(&server, &Identity { certificate, key }), None, "a server");

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

/// A command of a program, at another time if one is given. faketime itself would stand between: a signal to it
/// is none to the program.
fn program_at(name: &str, at: Option<&str>) -> std::process::Command {
    let mut command = program(name);
    if let Some(at) = at {
        let library = finish(
            program("faketime").args(["-f", at, "printenv", "LD_PRELOAD"]),
            b"",
        )
        .ok()
        .stdout;
        command.env("LD_PRELOAD", library.trim()).env("FAKETIME", at);
        command
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
    }
    command
}
