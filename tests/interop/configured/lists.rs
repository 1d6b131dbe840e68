//! Who is on no list does not get in: where a list cannot be read, nobody.

use std::path::PathBuf;

use super::servers::{self, Kind, Running, Setting};
use super::{is_refused, with};
use crate::support::Home;

on_every_server!(
    whoever_holds_the_key_of_an_authority_is_no_device,
    nobody_gets_in_by_a_list_that_cannot_be_read,
    a_revoked_phone_stays_out_where_the_list_of_the_revoked_cannot_be_read,
);

/// The certificates of the CAs chain to the root as well, and their holder has their keys.
fn whoever_holds_the_key_of_an_authority_is_no_device(kind: Kind, home: &Home) {
    home.run(&["server", "add", crate::support::HOST, "--out", "tls"]);
    home.run(&["server", "issue", crate::support::HOST, "--out", "tls"]);
    let opened = "for ca in root issuing servers; do openssl pkey -in home/$ca/$ca.key -passin file:$ca-passphrase -out $ca.plain; \
                  cat home/$ca/$ca.crt home/root/root.crt > $ca.chain; done";
    std::fs::copy(home.path("issuing-passphrase"), home.path("servers-passphrase")).unwrap();
    home.foreign("sh", &["-e", "-c", opened]).ok();
    let running = Running::start(kind, home);
    for authority in ["root", "issuing", "servers"] {
        for certificate in [
            format!("home/{authority}/{authority}.crt"),
            format!("{authority}.chain"),
        ] {
            let identity = format!("cert = \"{certificate}\"\nkey = \"{authority}.plain\"\n");
            let (status, said) = running.server.curl_with(home, None, "/", &identity);
            assert!(is_refused(status), "{certificate}: {said}");
        }
    }
    assert_eq!(running.served(), 0, "the application was asked");
    running.lets_in(home, &home.alice());
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Missing,
    /// Reading it fails, as it does for who may not.
    Unreadable,
    Empty,
    Says(&'static str),
}

impl Damage {
    fn to(self, file: &PathBuf) {
        std::fs::remove_file(file).unwrap();
        match self {
            Self::Missing => {}
            Self::Unreadable => std::fs::create_dir(file).unwrap(),
            Self::Empty => std::fs::write(file, "").unwrap(),
            Self::Says(text) => std::fs::write(file, text).unwrap(),
        }
    }
}

/// The list of who is accepted, as this server reads it.
fn accepted(kind: Kind, home: &Home) -> PathBuf {
    let place = home.path(kind.place()).join("server");
    match kind {
        Kind::Nginx | Kind::Haproxy | Kind::Apache | Kind::Envoy => place.join("allowed.map"),
        Kind::Node => place.join("devices.json"),
        Kind::Caddy => home.path("devices.map"),
    }
}

/// `SERIAL` stands for alice's.
const DAMAGED: [&str; 9] = [
    "SERIAL",
    "SERIAL \n",
    "SERIAL 1;\n",
    "SERIAL \"\";\n",
    "SERIAL \"-\";\n",
    "SERIAL \"alice\";\n",
    "\u{0}\u{1}\u{2}SERIAL \"alice/phone\";\n",
    "{\"version\":1,\"devices\":[{\"serial\":\"SERIAL\"}]}",
    "{\"version\":1,\"devices\":[{\"address\":\"alice/phone\"}]}",
];

fn nobody_gets_in_by_a_list_that_cannot_be_read(kind: Kind, home: &Home) {
    drop(Running::start(kind, home));
    let list = accepted(kind, home);
    let whole = std::fs::read(&list).unwrap();
    let serial = home.serial_of("alice/phone");
    let mut damages = vec![Damage::Missing, Damage::Unreadable, Damage::Empty];
    damages.extend(DAMAGED.map(Damage::Says));
    for damage in damages {
        match damage {
            Damage::Says(text) => Damage::Says(text.replace("SERIAL", &serial).leak()).to(&list),
            Damage::Missing | Damage::Unreadable | Damage::Empty => damage.to(&list),
        }
        let setting = Setting {
            list_is_made: false,
            ..Setting::PLAIN
        };
        if let Some(running) = Running::try_start(kind, home, &setting) {
            let (status, said) = running.server.curl(home, Some(&home.alice()), "/");
            match kind {
                // Its list has names alone. Who may come in is what the certificate and the list of the
                // revoked say.
                Kind::Nginx => assert!(!said.stdout.contains("alice/phone"), "{damage:?}: {said}"),
                Kind::Haproxy | Kind::Apache | Kind::Envoy | Kind::Node | Kind::Caddy => {
                    assert!(is_refused(status), "{damage:?}: {said}: {}", running.log());
                    assert_eq!(running.served(), 0, "{damage:?}: the application was asked");
                }
            }
        }
        if list.is_dir() {
            std::fs::remove_dir(&list).unwrap();
        }
        std::fs::write(&list, &whole).unwrap();
    }
    let running = Running::start(kind, home);
    running.lets_in(home, &home.alice());
}

/// The CRL has not arrived, either.
fn a_revoked_phone_stays_out_where_the_list_of_the_revoked_cannot_be_read(kind: Kind, home: &Home) {
    // Those two know one list, of who is accepted.
    if matches!(kind, Kind::Node | Kind::Caddy) {
        return;
    }
    home.run(&["revoke", "alice", "--yes", "--no-publish"]);
    let place = home.path(kind.place()).join("server");
    home.run(&["publish", place.to_str().unwrap()]);
    let list = place.join("revoked.map");
    for damage in [
        Damage::Missing,
        Damage::Unreadable,
        Damage::Empty,
        Damage::Says("\u{0}\u{1}{}\n"),
    ] {
        damage.to(&list);
        if let Some(running) = Running::try_start(kind, home, &Setting::PLAIN) {
            let (status, said) = running.server.curl(home, Some(&home.alice()), "/");
            match kind {
                // It has no other list to go by.
                Kind::Nginx => assert!(!said.stdout.contains("alice/phone"), "{damage:?}: {said}"),
                Kind::Haproxy | Kind::Apache | Kind::Envoy | Kind::Node | Kind::Caddy => {
                    assert!(is_refused(status), "{damage:?}: {said}");
                }
            }
        }
        if list.is_dir() {
            std::fs::remove_dir(&list).unwrap();
        }
        std::fs::write(&list, "").unwrap();
    }
}

/// The commands of its comments must not put an empty list in the place of one that is good, and tell nobody.
#[test]
fn caddys_list_stays_where_the_devices_cannot_be_read() {
    with(Kind::Caddy, |kind, home| {
        drop(Running::start(kind, home));
        let before = std::fs::read(home.path("devices.map")).unwrap();
        let devices = home.path(kind.place()).join("server/devices.json");
        for damage in [
            Damage::Missing,
            Damage::Says("{\"devices\":[{\"address\":"),
            Damage::Says("{}"),
        ] {
            damage.to(&devices);
            assert!(!servers::make_list_for_caddy(home), "{damage:?}");
            assert_eq!(
                std::fs::read(home.path("devices.map")).unwrap(),
                before,
                "{damage:?}"
            );
            std::fs::write(&devices, "").unwrap();
        }
    });
}
