//! What the commands say where all goes well, and what they offer.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use support::{Home, ISSUING_PASSPHRASE, PKI, cheap, finish, need};

#[test]
fn a_shell_completes_the_words_of_a_flag() {
    if !need(&["bash"]) {
        return;
    }
    let home = Home::unfounded();
    let script = home.run(&["completions", "bash"]).stdout;
    home.write_private("completions", &script);
    for ([verb, flag, word], offered) in [
        (["issue", "--for", "a"], "android any"),
        (["issue", "--p12", "m"], "modern"),
        (["issue", "--qr", ""], "bundle none"),
        (["revoke", "--reason", "l"], "lost left"),
        (["list", "--status", "su"], "superseded"),
    ] {
        let ask = format!(
            "source ./completions; COMP_WORDS=(pki {verb} {flag} '{word}'); COMP_CWORD=3; \
             _pki pki '{word}' {flag}; echo ${{COMPREPLY[*]}}"
        );
        let told = home.foreign("bash", &["--norc", "-c", &ask]).ok();
        assert_eq!(told.stdout.trim(), offered, "{told}");
    }
}

#[test]
fn show_shows_everything_that_a_file_holds() {
    let home = Home::staffed();
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    let request = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/csr/good.csr");
    let (root, issuing) = (
        read(home.public("ca/root.crt")),
        read(home.public("ca/issuing.crt")),
    );
    let (crl, request) = (read(home.public("crl/issuing.pem")), read(request));
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    home.write_private(
        "all",
        &[&root, &crl, "a remark\n", key, &issuing, &request].concat(),
    );

    let said = home.run(&["show", "all", "--json"]).json();
    let kinds: Vec<&str> = said["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["certificate", "crl", "other", "certificate", "request"],
        "{said}"
    );
    assert_eq!(said["items"][2]["label"], "PRIVATE KEY", "{said}");
    let told = home.run(&["show", "all"]).stdout;
    let begins: Vec<&str> = told
        .split("\n\n")
        .map(|part| part.lines().next().unwrap())
        .collect();
    assert!(
        begins[0] == "certificate of a CA" && begins[1].starts_with("CRL ") && begins.len() == 5,
        "{told}"
    );

    let pem = home.run(&["show", "all", "--pem"]);
    assert_eq!(pem.stdout, [root.as_str(), &crl, &issuing, &request].concat());
    assert!(pem.stderr.contains("PRIVATE KEY is left out"), "{pem}");

    // A name that the ledger knows is meant, and not a file of that name.
    home.write_private("alice", &root);
    assert!(
        home.run(&["show", "alice"])
            .stdout
            .starts_with("device       alice/phone\n")
    );
    // One thing alone is no list.
    let said = home.run(&["show", "home/public/ca/root.der", "--json"]).json();
    assert_eq!(
        (&said["kind"], &said["ca"]),
        (&"certificate".into(), &true.into()),
        "{said}"
    );
}

#[test]
fn with_json_wrong_usage_names_the_arguments_that_are_missing() {
    let home = Home::unfounded();
    for (arguments, missing) in [
        (
            &["check", "https://api.acme.example", "--cert", "alice.crt"][..],
            "--key <FILE>",
        ),
        (&["revoke"], "<ADDRESS|SERIAL>"),
    ] {
        let said = finish(home.pki(arguments).arg("--json"), b"").exits(2);
        let error: serde_json::Value = serde_json::from_str(&said.stderr).unwrap();
        let message = format!("the following required arguments were not provided: {missing}");
        assert_eq!(error["error"]["message"], message, "{said}");
    }
}

#[test]
fn with_json_stdout_is_a_document_or_empty() {
    let home = Home::staffed();
    let device = home.run(&["show", "alice", "--pem"]).stdout;
    let file = home.run(&["show", "home/public/ca/root.crt", "--pem"]).stdout;
    for (what, pem) in [("alice", device), ("home/public/ca/root.crt", file)] {
        let said = home.run(&["show", what, "--pem", "--json"]).json();
        assert_eq!(said, serde_json::json!({ "version": 1, "pem": pem }));
    }
    let told = finish(&mut home.pki(&["completions", "bash", "--json"]), b"").exits(2);
    assert_eq!(told.stdout, "");
    let error: serde_json::Value = serde_json::from_str(&told.stderr).unwrap();
    assert_eq!(
        error["error"]["message"],
        "a completion script is no JSON document"
    );
}

#[test]
fn a_list_of_nobody_is_empty_and_says_so() {
    let home = Home::staffed();
    for more in [&[][..], &["--json"], &["--csv"], &["--check"], &["-q"]] {
        let told = home.run(&[&["list", "--employee", "nobody"], more].concat());
        assert!(
            told.stderr
                .contains("pki: warning: the ledger knows no employee nobody\n"),
            "{told}"
        );
    }
    // Who is known and has nothing of that kind is another matter.
    let told = home.run(&["list", "--employee", "alice", "--status", "revoked"]);
    assert_eq!(told.stderr, "pki: nothing to list\n", "{told}");
}

#[test]
fn a_renewal_tells_what_becomes_of_the_old_certificate() {
    if !need(&["openssl"]) {
        return;
    }
    let home = cheap();
    let first = home.issue("alice", &["--days", "30"]);
    let said = home.run(&["show", "alice", "--json"]).json();
    let until = said["not_after"].as_str().unwrap()[..10].to_owned();
    let renewed = |more: &[&str], out: &str| {
        home.run(
            &[
                &[
                    "renew",
                    "alice",
                    "--out",
                    out,
                    "--bundle-passphrase-out",
                    &format!("{out}.secret"),
                ],
                more,
            ]
            .concat(),
        )
    };
    let told = renewed(&[], "second");
    let kept = format!(
        "     the old certificate stays good until {until}, unless it is revoked: pki revoke {}\n",
        first.serial
    );
    assert!(told.stderr.contains(&kept), "{told}");
    let serial = home.run(&["show", "alice", "--json"]).json()["serial"]
        .as_str()
        .unwrap()
        .to_owned();
    let told = renewed(&["--revoke-old"], "third");
    assert!(
        told.stderr
            .contains(&format!("     the old certificate {serial} is revoked\n")),
        "{told}"
    );

    let many = |more: &[&str], out: &str| {
        home.run(
            &[
                &[
                    "renew",
                    "--expiring",
                    "398d",
                    "--out",
                    out,
                    "--bundle-passphrase-out",
                    &format!("{out}.secret"),
                ],
                more,
            ]
            .concat(),
        )
    };
    let told = many(&[], "fourth");
    assert!(
        told.stderr
            .contains("each old certificate stays good until it ends"),
        "{told}"
    );
    let told = many(&["--revoke-old"], "fifth");
    assert!(told.stderr.contains("the old certificates are revoked"), "{told}");
    let told = many(&["--revoke-old", "--dry-run"], "sixth");
    assert!(!told.stderr.contains("old certificates"), "{told}");
}

#[test]
fn a_passphrase_is_read_from_the_descriptor_itself() {
    if !need(&["openssl"]) {
        return;
    }
    let home = cheap();
    // A socket cannot be opened anew by its path, and neither can a pipe of another account.
    for (who, number) in [("alice", 0), ("bob", 9)] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&ours)
            .write_all(format!("{ISSUING_PASSPHRASE}\n").as_bytes())
            .unwrap();
        drop(ours);
        let mut command = support::program("sh");
        let script = format!("exec {number}<&0; exec \"$@\" --passphrase-fd {number}");
        command.args([
            "-c",
            &script,
            "sh",
            PKI,
            "--no-input",
            "issue",
            who,
            "--bundle-passphrase-out",
            who,
        ]);
        command
            .current_dir(home.path("."))
            .env("PKI_HOME", home.home())
            .env_remove("PKI_PASSPHRASE_FILE")
            .stdin(Stdio::from(OwnedFd::from(theirs)));
        let told = command.output().unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    }
    // What was read of a file already is not read again.
    let list = home.write_private("several", &format!("a first line\n{ISSUING_PASSPHRASE}\n"));
    let mut file = File::open(list).unwrap();
    file.read_exact(&mut [0; 13]).unwrap();
    let mut command = home.pki(&[
        "issue",
        "carol",
        "--bundle-passphrase-out",
        "carol",
        "--passphrase-fd",
        "0",
    ]);
    let told = command.stdin(Stdio::from(file)).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
}

#[test]
fn what_a_hint_tells_can_be_pasted_where_the_home_was_named() {
    let home = Home::unfounded();
    let named = home.path("our PKI");
    let named = named.to_str().unwrap();
    home.run(&[
        "--home",
        named,
        "init",
        "--org",
        "Acme Ltd",
        "--domain",
        "acme.example",
        "-q",
    ]);
    let said = finish(&mut home.pki(&["--home", named, "revoke", "nobody"]), b"").exits(1);
    assert!(
        said.stderr.contains(&format!("`pki --home '{named}' list`")),
        "{said}"
    );
    std::fs::remove_file(Path::new(named).join("public/crl/issuing.crl")).unwrap();
    let said = finish(&mut home.pki(&["--home", named, "doctor"]), b"").exits(3);
    assert!(
        said.stdout.contains(&format!("→ pki --home '{named}' publish")),
        "{said}"
    );
}

#[test]
fn the_name_alone_shows_what_there_is() {
    let said = finish(&mut std::process::Command::new(PKI), b"").exits(2);
    assert!(
        said.stderr.starts_with("A private PKI for client certificates"),
        "{said}"
    );
}

#[test]
fn init_looks_before_it_asks() {
    if !need(&["setpriv", "chmod"]) {
        return;
    }
    let home = Home::unfounded();
    let init = ["init", "--org", "Acme Ltd", "--domain", "acme.example"];
    home.run(&[&init[..], &["--dry-run"]].concat());
    assert!(!home.home().exists());
    // Its own directory in one that is another's: no passphrase is asked for in vain.
    std::fs::create_dir(home.home()).unwrap();
    home.foreign("chmod", &["0777", "home"]).ok();
    home.foreign("chmod", &["0555", "."]).ok();
    let mut command = home.pki_as_nobody(&init);
    command
        .env_remove("PKI_PASSPHRASE_FILE")
        .env_remove("PKI_ROOT_PASSPHRASE_FILE");
    let said = finish(&mut command, b"").exits(1);
    home.foreign("chmod", &["0755", "."]).ok();
    assert!(
        said.stderr.contains("a home is made beside its place, and "),
        "{said}"
    );
    assert!(
        said.stderr
            .contains("name a home below a directory of this account"),
        "{said}"
    );
}

#[test]
fn a_file_that_is_shown_is_recognized_by_its_own_ledger_alone() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::staffed();
    let [leaf, ..] = home.opened(&home.bob());
    let leaf = leaf.to_str().unwrap();
    let status = |home: &Home| home.run(&["show", leaf, "--json"]).json()["status"].clone();
    assert_eq!(status(&home), "valid");
    home.run(&["revoke", "bob", "--yes", "-q"]);
    assert_eq!(status(&home), "revoked");
    let said = home.run(&["show", leaf]);
    assert!(
        said.stdout.contains("status       revoked, of bob/phone"),
        "{said}"
    );
    assert_eq!(status(&Home::bare()), serde_json::Value::Null);
    assert_eq!(status(&Home::unfounded()), serde_json::Value::Null);
}
