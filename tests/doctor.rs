//! What doctor finds in a home that works and is not as it should be.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use serde_json::Value;
use support::{Finished, Home, finish, need};

fn findings(said: &Finished) -> Vec<Value> {
    let found = said.json();
    found["findings"].as_array().unwrap().clone()
}

/// The only finding with this code.
#[track_caller]
fn the(code: &str, said: &Finished) -> Value {
    let mut found = findings(said);
    found.retain(|finding| finding["code"] == code);
    assert_eq!(found.len(), 1, "{code}: {said}");
    found.remove(0)
}

#[test]
fn a_key_that_is_not_encrypted_is_an_error() {
    if !need(&["openssl"]) {
        return;
    }
    for (key, code) in [
        ("issuing/issuing.key", "issuing-key"),
        ("root/root.key", "root-key"),
    ] {
        let home = Home::new();
        let place = home.home().join(key);
        let plain = home
            .foreign(
                "openssl",
                &[
                    "genpkey",
                    "-algorithm",
                    "EC",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                ],
            )
            .ok();
        std::fs::write(&place, plain.stdout).unwrap();
        let said = finish(&mut home.pki(&["doctor", "--json"]), b"").exits(3);
        let finding = the(code, &said);
        assert_eq!(finding["severity"], "error");
        let message = format!(
            "{} is no encrypted private key (PEM, \"ENCRYPTED PRIVATE KEY\")",
            place.display()
        );
        assert_eq!(finding["message"], message);
    }
}

#[test]
fn a_file_among_the_published_ones_is_noted() {
    let home = Home::new();
    let target = home.path("web");
    home.configure_table(&format!("[[publish]]\npublic = \"{}\"\n", target.display()));
    home.run(&["publish", "-q"]);
    assert!(
        findings(&home.run(&["doctor", "--json"]))
            .iter()
            .all(|finding| finding["code"] != "stray")
    );

    std::fs::create_dir(target.join("old")).unwrap();
    let strays = [
        home.server("allowed.map.bak"),
        target.join("crl/old.crl"),
        target.join("old"),
    ];
    for stray in &strays[..2] {
        std::fs::write(stray, "").unwrap();
    }
    let said = home.run(&["doctor", "--json"]);
    let mut found = findings(&said);
    found.retain(|finding| finding["code"] == "stray");
    assert_eq!(found.len(), strays.len(), "{said}");
    for stray in &strays {
        let message = format!(
            "{} is in a publication's directory and no part of it",
            stray.display()
        );
        assert!(
            found
                .iter()
                .any(|f| f["message"] == message && f["severity"] == "note"),
            "{message}: {said}"
        );
    }
}

#[test]
fn a_publication_inside_the_private_home_is_refused() {
    let home = Home::new();
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{}\"\n",
        home.home().join("web").display()
    ));
    let refused = finish(&mut home.pki(&["publish"]), b"").exits(1);
    assert!(
        refused
            .stderr
            .contains("a directory must not lie in the home, which is private"),
        "{refused}"
    );
}
