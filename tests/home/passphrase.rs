//! Another passphrase for the keys of a home, and whether the ones that hold are still known.

use crate::support::{HOST, Home, files_below, finish, need};

const NEW: &str = "four other secret words";

/// A home with every kind of key that the everyday passphrase opens.
fn home() -> Home {
    let home = Home::with_certified_server();
    home.run(&["hmac", "rotate", HOST, "--yes", "-q"]);
    home.write_private("new", &format!("{NEW}\n"));
    home
}

/// Every encrypted file of the home, but the root's, that this passphrase file opens.
fn opened_by(home: &Home, passphrase: &str) -> Vec<String> {
    let secret = format!("file:{}", home.path(passphrase).display());
    let keys = files_below(&home.home())
        .into_iter()
        .filter(|file| file.ends_with(".key"));
    let keys = keys.filter(|file| !file.starts_with("root/"));
    keys.filter(|file| {
        let key = home.home().join(file).display().to_string();
        let arguments = ["pkcs8", "-in", &key, "-passin", &secret, "-out", "/dev/null"];
        home.foreign("openssl", &arguments).code == Some(0)
    })
    .collect()
}

fn change(home: &Home) -> std::process::Command {
    home.pki(&["ca", "passphrase", "--new-passphrase-file", "new", "-q"])
}

#[test]
fn every_key_of_the_everyday_passphrase_has_the_new_one_and_the_root_its_own() {
    if !need(&["openssl"]) {
        return;
    }
    let home = home();
    let all = opened_by(&home, "issuing-passphrase");
    // OpenSSL knows no secrets of HMAC as keys: that those open, `hmac show` tells.
    let is_there = |kind: &&str| all.iter().any(|file| file.starts_with(*kind));
    assert!(
        ["issuing/", "servers/servers.key", "servers/api."]
            .iter()
            .all(is_there),
        "{all:?}"
    );
    let root = std::fs::read(home.home().join("root/root.key")).unwrap();
    finish(&mut change(&home), b"").ok();
    assert_eq!(opened_by(&home, "new"), all);
    assert_eq!(opened_by(&home, "issuing-passphrase"), [""; 0]);
    assert_eq!(std::fs::read(home.home().join("root/root.key")).unwrap(), root);
    assert!(
        !files_below(&home.home())
            .iter()
            .any(|file| file.contains("rekeyed"))
    );
    let audit = home.run(&["audit"]).stdout;
    assert!(audit.contains("passphrase   of the issuing CA"), "{audit}");
    // Everything goes on with it, and nothing with the old one.
    let refused = finish(&mut home.pki(&["server", "issue", HOST, "--out", "tls"]), b"").exits(4);
    assert!(refused.stderr.contains("does not open"), "{refused}");
    let with_new = |arguments: &[&str]| {
        let arguments = [arguments, &["--passphrase-file", "new"]].concat();
        finish(&mut home.pki(&arguments), b"").ok()
    };
    with_new(&["server", "issue", HOST, "--out", "tls"]);
    with_new(&[
        "issue",
        "bob/phone",
        "--out",
        "out",
        "--bundle-passphrase-out",
        "p",
    ]);
    with_new(&["hmac", "show", HOST, "--out", "hmac.json"]);
    with_new(&["doctor", "--unlock"]);
}

#[test]
fn the_root_gets_a_passphrase_of_its_own() {
    let home = Home::new();
    home.write_private("new", &format!("{NEW}\n"));
    let issuing = std::fs::read(home.home().join("issuing/issuing.key")).unwrap();
    home.run(&["root", "passphrase", "--new-passphrase-file", "new"]);
    finish(&mut home.pki(&["root", "crl", "--yes"]), b"").exits(4);
    home.run(&["root", "crl", "--yes", "--root-passphrase-file", "new"]);
    assert_eq!(
        std::fs::read(home.home().join("issuing/issuing.key")).unwrap(),
        issuing
    );
    let audit = home.run(&["audit"]).stdout;
    assert!(audit.contains("passphrase   of the root changed"), "{audit}");
    std::fs::remove_file(home.home().join("root/root.key")).unwrap();
    finish(
        &mut home.pki(&["root", "passphrase", "--new-passphrase-file", "new"]),
        b"",
    )
    .exits(1);
}

#[test]
fn where_it_is_refused_the_old_passphrase_opens_all() {
    if !need(&["openssl"]) {
        return;
    }
    let home = home();
    let all = opened_by(&home, "issuing-passphrase");
    home.write_private("weak", "short\n");
    std::fs::copy(home.path("issuing-passphrase"), home.path("same")).unwrap();
    for (name, code) in [("weak", 1), ("same", 1), ("missing", 4)] {
        let mut command = home.pki(&["ca", "passphrase", "--new-passphrase-file", name]);
        finish(&mut command, b"").exits(code);
    }
    // A key that somebody has encrypted with another passphrase.
    let odd = all.iter().find(|file| file.starts_with("servers/api")).unwrap();
    let arguments = [
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-out",
        "plain",
    ];
    home.foreign("openssl", &arguments).ok();
    let key = home.home().join(odd);
    let before = std::fs::read(&key).unwrap();
    let arguments = [
        "pkcs8",
        "-topk8",
        "-in",
        "plain",
        "-passout",
        "pass:of somebody else",
        "-v2",
        "aes-256-cbc",
        "-scrypt",
    ];
    let sealed = home.foreign("openssl", &arguments).ok().stdout;
    std::fs::write(&key, sealed).unwrap();
    let said = finish(&mut change(&home), b"").exits(4);
    assert!(said.stderr.contains(odd), "{said}");
    std::fs::write(&key, before).unwrap();
    assert_eq!(opened_by(&home, "issuing-passphrase"), all);
    assert_eq!(opened_by(&home, "new"), [""; 0]);
}
