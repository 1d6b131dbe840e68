//! `pki revoke --verify`: done when the server acts on it.

use super::nginx::Nginx;
use super::node::start;
use super::{arguments, canaries, url};
use crate::support::{Home, finish, need};

const GOOD: &str = "ssl_protocols TLSv1.2 TLSv1.3; ssl_verify_client on;";

#[test]
fn a_revocation_is_verified_when_the_server_acts_on_it() {
    if !need(&["nginx", "openssl", "curl"]) {
        return;
    }
    let home = Home::staffed();
    let nginx = Nginx::start(&home, &[GOOD]);
    let _follower = nginx.follow(&home);
    nginx.server.lets_in(&home, &home.alice());
    let url = url(nginx.port(), "/");
    let said = finish(
        home.pki(&["revoke", "alice", "--yes", "--json", "--verify", &url])
            .args(arguments(nginx.port())),
        b"",
    );
    let said = said.ok().json();
    assert!(said["verified"]["after"].as_f64().is_some(), "{said}");
    assert_eq!(said["revoked"].as_array().unwrap().len(), 1);
    assert_eq!(nginx.server.curl(&home, Some(&home.alice()), "/").0, Some(400));
    nginx.server.lets_in(&home, &home.bob());
    assert_eq!(canaries(&home), ["revoked"; 2]);

    // Once more, with nothing left to revoke, verifies once more.
    let said = finish(
        home.pki(&["revoke", "alice", "--yes", "--verify", &url])
            .args(arguments(nginx.port())),
        b"",
    )
    .ok();
    assert!(said.stderr.contains("alice/phone was revoked already"), "{said}");
    assert!(said.stderr.contains("pki: the CRL is published\n"), "{said}");
    assert_eq!(canaries(&home).len(), 4);

    // A command that waits for the canary's publication has failed nobody, and is run once for both.
    let [public, server, ran] = ["web/public", "web/server", "ran"].map(|name| home.path(name));
    home.configure_table(&format!(
        "[[publish]]\npublic = '{}'\nserver = '{}'\ncommand = ['sh', '-c', 'echo >> ran']\n",
        public.display(),
        server.display()
    ));
    home.run(&["publish", "-q"]);
    std::fs::write(&ran, "").unwrap();
    let said = finish(
        home.pki(&["revoke", "bob", "--yes", "--verify", &url])
            .args(arguments(nginx.port())),
        b"",
    )
    .ok();
    assert!(!said.stderr.contains("has not succeeded"), "{said}");
    // The canary's begin, its revocation, and that of its control.
    assert_eq!(
        std::fs::read_to_string(&ran).unwrap().lines().count(),
        3,
        "{said}"
    );
}

#[test]
fn a_revocation_stands_where_the_server_does_not_act_or_is_not_there() {
    if !need(&["nginx", "openssl", "curl"]) {
        return;
    }
    let home = Home::staffed();
    let nginx = Nginx::start(&home, &[GOOD]);
    let there = url(nginx.port(), "/");
    let dry = finish(
        &mut home.pki(&[
            "revoke",
            "alice",
            "--dry-run",
            "--verify",
            "https://no.such.host.invalid/",
        ]),
        b"",
    );
    dry.ok();
    let said = finish(
        home.pki(&["revoke", "alice", "--yes", "--patience", "1s", "--verify", &there])
            .args(arguments(nginx.port())),
        b"",
    )
    .exits(5);
    assert!(said.stderr.contains("has not acted on CRL"), "{said}");
    assert!(said.stderr.contains("pki revoke alice/phone --verify"), "{said}");
    let revoked = std::fs::read_to_string(home.server("revoked.map")).unwrap();
    assert!(revoked.contains(&home.alice().serial), "{revoked}");

    let said = finish(
        &mut home.pki(&["revoke", "bob", "--yes", "--verify", "https://127.0.0.1:1/"]),
        b"",
    )
    .exits(5);
    assert!(said.stderr.contains("it is revoked and published, but"), "{said}");
    let revoked = std::fs::read_to_string(home.server("revoked.map")).unwrap();
    assert!(revoked.contains(&home.bob().serial), "{revoked}");
}

#[test]
fn what_to_do_follows_what_went_wrong() {
    if !need(&["nginx", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    let nginx = Nginx::start(&home, &[GOOD]);
    let there = url(nginx.port(), "/");
    let [resolve, at, ca, file] = &arguments(nginx.port())[..] else {
        panic!("how a server of the tests is found");
    };
    let tells = |arguments: &[&str], hints: &[&str]| {
        let said = finish(home.pki(&["revoke", "alice", "--yes"]).args(arguments), b"").exits(5);
        for hint in hints {
            assert!(said.stderr.contains(hint), "{hint}: {said}");
        }
        said
    };
    let nowhere = "https://no.such.host.invalid:8453/";
    tells(
        &["--verify", nowhere, ca, file],
        &[
            "say where it is: `pki revoke alice/phone --verify https://no.such.host.invalid:8453/ ",
            " --resolve no.such.host.invalid:8453:ADDR --yes`",
        ],
    );
    tells(
        &["--verify", "https://127.0.0.1:1/"],
        &[
            "see whether the server runs",
            "; then `pki revoke alice/phone --verify",
        ],
    );
    let said = tells(&["--verify", &there, resolve, at], &["give --ca FILE"]);
    assert!(!said.stderr.contains("phones expect"), "{said}");
    let patience = ["--patience", "1s"];
    tells(
        &[&["--verify", &there, resolve, at, ca, file][..], &patience].concat(),
        &["when it is reloaded", "--patience"],
    );
}

#[test]
fn a_server_that_lets_in_nobody_any_more_has_not_verified_a_revocation() {
    if !need(&["node", "openssl"]) {
        return;
    }
    for way in ["refuses", "closes"] {
        let home = Home::staffed();
        home.run(&["revoke", "alice", "--yes"]);
        let (node, _follower) = start(&home, way);
        let said = finish(
            home.pki(&["revoke", "alice", "--yes", "--patience", "2s", "--verify"])
                .arg(url(node.port, "/"))
                .args(arguments(node.port)),
            b"",
        )
        .exits(5);
        assert!(said.stderr.contains("lets in nobody since CRL"), "{way}: {said}");
        assert_eq!(canaries(&home), ["revoked"; 2], "{way}");
    }
}
