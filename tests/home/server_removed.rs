//! A server that was taken in by mistake leaves without a pin being taken from an app that goes by it; and a
//! certificate that apps would refuse is refused before a server gets it.

use serde_json::Value;

use crate::support::{Finished, HOST, Home, finish, need};

fn run(home: &Home, arguments: &[&str]) -> Finished {
    finish(&mut home.pki(arguments), b"")
}

/// The hosts that apps are held to pins of, each with how many.
fn pinned(home: &Home) -> Vec<(String, usize)> {
    let text = std::fs::read_to_string(home.public("pins/pins.json")).unwrap();
    let pins: Value = serde_json::from_str(&text).unwrap();
    let sets = pins["sets"].as_array().unwrap().iter();
    sets.map(|set| {
        (
            set["host"].as_str().unwrap().to_owned(),
            set["pins"].as_array().unwrap().len(),
        )
    })
    .collect()
}

/// A self-signed certificate for the host with this key, which is made where it is not there.
fn certificate(home: &Home, host: &str, key: &str, file: &str) -> String {
    if !home.path(key).exists() {
        home.foreign(
            "openssl",
            &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key],
        )
        .ok();
    }
    let (subject, name) = (format!("/CN={host}"), format!("subjectAltName=DNS:{host}"));
    let arguments = [
        "req",
        "-x509",
        "-key",
        key,
        "-days",
        "90",
        "-subj",
        &subject,
        "-addext",
        &name,
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-out",
        file,
    ];
    home.foreign("openssl", &arguments).ok();
    file.to_owned()
}

#[test]
fn pins_that_apps_may_go_by_stay_for_the_overlap_and_leave_by_themselves() {
    if !need(&["faketime"]) {
        return;
    }
    let home = Home::with_certified_server();
    let before = std::fs::read(home.home().join("ledger.jsonl")).unwrap();
    let said = run(&home, &["server", "remove", HOST, "--yes"]).exits(4);
    assert!(
        said.stderr.contains("Apps may go by the pins") && said.stderr.contains("--confirm"),
        "{said}"
    );
    run(
        &home,
        &["server", "remove", HOST, "--confirm", "api.evil.example"],
    )
    .exits(4);
    run(&home, &["server", "remove", HOST, "--dry-run"]).ok();
    assert_eq!(std::fs::read(home.home().join("ledger.jsonl")).unwrap(), before);

    let said = run(&home, &["server", "remove", HOST, "--confirm", HOST]).ok();
    assert!(said.stderr.contains("its pins stay published until"), "{said}");
    assert!(
        said.stderr.contains("of this PKI stays good") && said.stderr.contains("`pki revoke "),
        "{said}"
    );
    assert_eq!(pinned(&home), [(HOST.to_owned(), 2)]);
    assert_eq!(
        run(&home, &["server", "list", "--json"]).json()["servers"],
        Value::Array(vec![])
    );
    run(&home, &["server", "remove", HOST, "--confirm", HOST]).exits(1);
    run(&home, &["server", "rotate", HOST, "--confirm", HOST]).exits(1);
    assert!(
        run(&home, &["audit"])
            .ok()
            .stdout
            .contains("removed, its pins retire")
    );
    // They are nobody else's, and no home has lost them.
    let said = run(&home, &["publish"]).ok();
    assert!(!said.stderr.contains("later than"), "{said}");
    // The index tells the same when it is made anew.
    std::fs::remove_dir_all(home.home().join("index")).ok();
    finish(&mut home.pki_at("+20d", &["publish"]), b"").ok();
    assert_eq!(pinned(&home), [(HOST.to_owned(), 2)]);
    finish(&mut home.pki_at("+40d", &["publish"]), b"").ok();
    assert_eq!(pinned(&home), []);
    let said = finish(&mut home.pki_at("+40d", &["doctor", "--json"]), b"").json();
    let codes: Vec<&str> = said["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["code"].as_str().unwrap())
        .collect();
    assert!(
        !codes
            .iter()
            .any(|code| code.contains("pins") || code.starts_with("server")),
        "{codes:?}"
    );
}

#[test]
fn pins_that_no_app_goes_by_leave_at_once_and_those_who_fetch_take_it() {
    let home = Home::with_server();
    home.run(&["server", "add", "shop.acme.example", "--out", "tls"]);
    let fetch = [
        "fetch",
        "home/public",
        "--root",
        "home/root/root.crt",
        "--out",
        "fetched",
    ];
    home.run(&fetch);
    home.run(&["server", "remove", HOST, "--now", "--confirm", HOST]);
    assert_eq!(pinned(&home), [("shop.acme.example".to_owned(), 2)]);
    // Whoever fetches cannot know that it was meant, and says it once.
    let said = run(&home, &fetch).exits(3);
    assert!(said.stderr.contains("the server was removed"), "{said}");
    home.run(&fetch);
    home.run(&[
        "server",
        "remove",
        "shop.acme.example",
        "--now",
        "--confirm",
        "shop.acme.example",
    ]);
    assert_eq!(pinned(&home), []);
    run(&home, &fetch).exits(3);
    home.run(&fetch);
}

#[test]
fn pins_of_a_removed_server_are_told_for_what_they_are_and_can_leave_at_once_later() {
    let home = Home::with_server();
    let now = ["server", "remove", HOST, "--now", "--confirm", HOST];
    home.run(&["server", "remove", HOST, "--confirm", HOST]);
    let shown = home.run(&["pins", "show"]).stdout;
    assert!(
        shown.contains("removed: its pins leave on") && shown.contains("retiring"),
        "{shown}"
    );
    assert!(!shown.contains("active") && !shown.contains("backup"), "{shown}");
    let shown = home.run(&["pins", "show", "--json"]).json();
    assert!(shown["removed"][HOST].is_string(), "{shown}");
    // Once more says what is left to do.
    let said = run(&home, &["server", "remove", HOST, "--confirm", HOST]).exits(1);
    assert!(
        said.stderr.contains("is removed already") && said.stderr.contains("--now"),
        "{said}"
    );
    run(&home, &["server", "remove", HOST, "--now", "--yes"]).exits(4);
    assert_eq!(pinned(&home), [(HOST.to_owned(), 2)]);
    home.run(&now);
    assert_eq!(pinned(&home), []);
    // Then there is nothing left.
    let said = run(&home, &now).exits(1);
    assert!(said.stderr.contains("there is no server"), "{said}");
}

#[test]
fn a_certificate_is_advised_to_be_written_beside_its_key() {
    let home = Home::new();
    let said = home.run(&["server", "add", HOST, "--out", "tls"]);
    let advised = format!("`pki server issue {HOST} --out tls`");
    assert!(said.stderr.contains(&advised), "{said}");
    home.run(&["server", "issue", HOST, "--out", "tls"]);
    let said = home.run(&["server", "rotate", HOST, "--confirm", HOST, "--out", "tls"]);
    assert!(said.stderr.contains(&advised), "{said}");
    // Where doctor cannot know the place, it says what place is meant.
    let said = run(&home, &["doctor"]).exits(3);
    let said: String = said.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains(&format!("pki server issue {HOST} --out DIR, where its key is")),
        "{said}"
    );
}

#[test]
fn a_server_that_is_taken_in_again_keeps_the_pins_that_apps_have_of_it() {
    let home = Home::new();
    let cert = certificate(&home, HOST, "own.key", "own.crt");
    let import = ["server", "import", HOST, "--cert", &cert];
    home.run(&import);
    home.run(&["server", "remove", HOST, "--confirm", HOST]);
    // The key is still a server's, and no device gets it.
    let request = [
        "req", "-new", "-key", "own.key", "-subj", "/CN=x", "-out", "own.csr",
    ];
    home.foreign("openssl", &request).ok();
    let said = run(&home, &["issue", "alice", "--csr", "own.csr"]).exits(1);
    assert!(said.stderr.contains("the one of the server"), "{said}");
    // With the key that it has had all the time, and another in reserve: the old reserve retires.
    home.run(&import);
    assert_eq!(pinned(&home), [(HOST.to_owned(), 3)]);
    home.run(&["server", "remove", HOST, "--now", "--confirm", HOST]);
    assert_eq!(pinned(&home), []);
    // What has left does not come back.
    home.run(&["server", "add", HOST, "--out", "tls"]);
    assert_eq!(pinned(&home), [(HOST.to_owned(), 2)]);
    home.run(&["publish"]);
}

#[test]
fn a_certificate_that_apps_would_refuse_is_refused_before_the_server_gets_it() {
    let home = Home::new();
    let cert = certificate(&home, HOST, "own.key", "own.crt");
    home.run(&["server", "import", HOST, "--cert", &cert]);
    let verify = |cert: &str| run(&home, &["server", "verify", HOST, "--cert", cert]);
    verify(&cert).ok();
    let renewed = certificate(&home, HOST, "own.key", "renewed.crt");
    let said = run(&home, &["server", "verify", HOST, "--cert", &renewed, "--json"])
        .ok()
        .json();
    assert_eq!(said["host"], HOST);
    let other = certificate(&home, HOST, "other.key", "other.crt");
    let said = verify(&other).exits(3);
    assert!(
        said.stderr.contains("neither the active nor the backup key"),
        "{said}"
    );
    let strange = certificate(&home, "shop.acme.example", "own.key", "strange.crt");
    verify(&strange).exits(3);
    // It says nothing of what it cannot look at.
    verify("nowhere.crt").exits(1);
    run(
        &home,
        &["server", "verify", "shop.acme.example", "--cert", &strange],
    )
    .exits(1);
    // Nor one that is revoked: phones may read the CRL.
    let chat = "chat.acme.example";
    home.run(&["server", "add", chat, "--out", "chat"]);
    home.run(&["server", "issue", chat, "--out", "chat"]);
    let issued = format!("chat/{chat}.crt");
    let arguments = ["server", "verify", chat, "--cert", &issued];
    run(&home, &arguments).ok();
    let shown = home.run(&["show", &issued, "--json"]).json();
    let serial = shown["items"][0]["serial"].as_str().unwrap();
    home.run(&["revoke", serial, "--yes"]);
    let said = run(&home, &arguments).exits(3);
    assert!(said.stderr.contains("is revoked"), "{said}");
    // A pin that was never published is known to no app, whatever the ledger says.
    std::fs::remove_dir_all(home.public("pins")).unwrap();
    let said = verify(&cert).exits(3);
    assert!(said.stderr.contains("pki publish"), "{said}");
    // The key in reserve is not in use yet, and the last one no more.
    home.run(&["publish"]);
    home.run(&["server", "rotate", HOST, "--confirm", HOST, "--out", "tls"]);
    let said = verify(&cert).exits(3);
    assert!(said.stderr.contains("retiring"), "{said}");
}

#[test]
fn a_file_is_no_server() {
    let home = Home::new();
    let cert = certificate(&home, HOST, "own.key", "fullchain.pem");
    let said = run(&home, &["server", "add", &cert]).exits(2);
    assert!(
        said.stderr
            .contains("`pki server import HOST --cert fullchain.pem`"),
        "{said}"
    );
    run(&home, &["server", "import", &cert, "--cert", &cert]).exits(1);
    assert_eq!(
        run(&home, &["server", "list", "--json"]).json()["servers"],
        Value::Array(vec![])
    );
}
