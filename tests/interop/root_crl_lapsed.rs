//! The root's CRL has ended because nobody took the root out of its safe: what shrinks what servers accept
//! goes out all the same.

use crate::support::{Home, finish, need};

/// A home whose root's CRL holds 30 days, and one that is later than that.
const LATER: &str = "+31d";

#[test]
fn a_phone_is_locked_out_and_exit_5_names_the_remedy() {
    if !need(&["faketime", "openssl"]) {
        return;
    }
    let home = short_lived();
    let said = finish(&mut home.pki_at(LATER, &["revoke", "alice", "--yes"]), b"").exits(5);
    assert!(said.stderr.contains("pki root crl"), "{said}");
    let serial = home.alice().serial;
    for map in [home.server("revoked.map"), home.path("target/server/revoked.map")] {
        assert_eq!(
            std::fs::read_to_string(&map).unwrap(),
            format!("{serial} 1;\n"),
            "{map:?}"
        );
    }
    let devices = std::fs::read_to_string(home.path("target/server/devices.json")).unwrap();
    assert!(!devices.contains(&serial), "{devices}");
    let crl = home.path("target/public/crl/issuing.crl");
    let told = home.foreign(
        "openssl",
        &[
            "crl",
            "-inform",
            "DER",
            "-in",
            crl.to_str().unwrap(),
            "-noout",
            "-text",
        ],
    );
    assert!(told.ok().stdout.contains(&format!("Serial Number: {serial}\n")));
}

#[test]
fn a_publication_is_exit_5_until_the_root_has_signed_anew() {
    if !need(&["faketime"]) {
        return;
    }
    let home = short_lived();
    let publish = |code| finish(&mut home.pki_at(LATER, &["publish"]), b"").exits(code);
    publish(5);
    let said = publish(5);
    assert!(said.stderr.contains("pki root crl"), "{said}");
    finish(&mut home.pki_at(LATER, &["root", "crl"]), b"").ok();
    publish(0);
}

#[test]
fn a_publication_that_nobody_was_there_for_keeps_the_crls_in_date() {
    if !need(&["faketime", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    // As the timer does it, every week for two months.
    for days in (7..=63).step_by(7) {
        let offset = format!("+{days}d");
        finish(&mut home.pki_at(&offset, &["publish"]), b"").ok();
        let at = (jiff::Timestamp::now().as_second() + days * 86_400).to_string();
        let [leaf, ..] = home.opened(&home.alice());
        let [root, issuing, crls] =
            ["ca/root.crt", "ca/issuing.crt", "crl/bundle.pem"].map(|file| home.public(file));
        let mut arguments = vec!["verify", "-x509_strict", "-crl_check_all", "-attime", &at];
        arguments.extend([
            "-CAfile",
            root.to_str().unwrap(),
            "-untrusted",
            issuing.to_str().unwrap(),
        ]);
        arguments.extend(["-CRLfile", crls.to_str().unwrap(), leaf.to_str().unwrap()]);
        home.foreign("openssl", &arguments).ok();
    }
}

fn short_lived() -> Home {
    let home = Home::staffed();
    home.configure("root_crl_days", "30");
    let [public, server] =
        ["public", "server"].map(|area| home.path(format!("target/{area}")).display().to_string());
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{public}\"\nserver = \"{server}\"\n"
    ));
    home.run(&["root", "crl"]);
    home.run(&["publish"]);
    // The timer runs: nobody doubts the clock.
    finish(&mut home.pki_at("+16d", &["publish"]), b"").ok();
    home
}
