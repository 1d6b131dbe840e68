//! Where a passphrase comes from: each source opens the key, the nearer one wins, and none shows what it
//! holds.

use std::path::PathBuf;
use std::process::Command;

use crate::support::{Finished, HOST, Home, ISSUING_PASSPHRASE, finish, is_root, need};

const WRONG: &str = "not the passphrase of anything";

/// A revocation of nobody's certificate opens the issuing key and needs nothing else.
fn revoke(home: &Home, more: &[&str]) -> Command {
    let serial = "2B7E151628AED2A6ABF7158809CF4F3C";
    let mut command = home.pki(&[&["revoke", serial, "--confirm", serial, "-q"], more].concat());
    command.env_remove("PKI_PASSPHRASE_FILE");
    command
}

/// A directory of credentials as systemd makes it, and the issuing key's in it.
fn credentials(home: &Home, text: &str) -> PathBuf {
    let directory = home.path("credentials");
    std::fs::create_dir_all(&directory).unwrap();
    home.write_private("credentials/pki-passphrase", text);
    directory
}

fn open(home: &Home, command: &mut Command) -> Finished {
    let before = std::fs::read(home.home().join("ledger.jsonl")).unwrap();
    let done = finish(command, b"");
    let after = std::fs::read(home.home().join("ledger.jsonl")).unwrap();
    assert_eq!(done.code == Some(0), before != after, "{done}");
    for secret in [ISSUING_PASSPHRASE, WRONG] {
        assert!(!done.text().contains(secret), "{done}");
    }
    done
}

#[test]
fn every_source_opens_the_key() {
    if !need(&["openssl", "sh"]) {
        return;
    }
    let home = Home::new();
    let file = home.path("issuing-passphrase");
    let file = file.to_str().unwrap();
    let renewed = || crate::support::copy_of(&home);

    open(&home, &mut revoke(&home, &[])).exits(4);
    let fresh = renewed();
    open(&fresh, &mut revoke(&fresh, &["--passphrase-file", file])).ok();
    let fresh = renewed();
    open(&fresh, revoke(&fresh, &[]).env("PKI_PASSPHRASE_FILE", file)).ok();
    let fresh = renewed();
    let directory = credentials(&fresh, ISSUING_PASSPHRASE);
    open(
        &fresh,
        revoke(&fresh, &[]).env("CREDENTIALS_DIRECTORY", directory),
    )
    .ok();
    let fresh = renewed();
    fresh.configure("passphrase_command", &format!("[\"cat\", \"{file}\"]"));
    open(&fresh, &mut revoke(&fresh, &[])).ok();

    // A pipe that only its descriptor reaches.
    let fresh = renewed();
    let inner = revoke(&fresh, &["--passphrase-fd", "3"]);
    let mut outer = Command::new("sh");
    outer.args(["-c", "cat \"$PASSPHRASE\" | \"$0\" \"$@\" 3<&0 </dev/null"]);
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer.env("PASSPHRASE", file).current_dir(fresh.path("."));
    open(&fresh, &mut outer).ok();
}

#[test]
fn the_nearer_source_wins() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let wrong = home.write_private("wrong", WRONG);
    let wrong = wrong.to_str().unwrap();
    let right = home.path("issuing-passphrase");
    let right = right.to_str().unwrap();
    // From the farthest to the nearest: each is wrong, and outdone by the next.
    home.configure("passphrase_command", &format!("[\"cat\", \"{wrong}\"]"));
    open(&home, &mut revoke(&home, &[])).exits(4);
    let directory = credentials(&home, WRONG);
    let near = |more: &[&str], variable: Option<&str>| {
        let mut command = revoke(&home, more);
        command.env("CREDENTIALS_DIRECTORY", &directory);
        if let Some(file) = variable {
            command.env("PKI_PASSPHRASE_FILE", file);
        }
        command
    };
    home.configure("passphrase_command", &format!("[\"cat\", \"{right}\"]"));
    open(&home, &mut near(&[], None)).exits(4);
    open(&home, &mut near(&["--passphrase-file", wrong], Some(right))).exits(4);
    credentials(&home, ISSUING_PASSPHRASE);
    open(&home, &mut near(&[], Some(wrong))).exits(4);
    open(&home, &mut near(&["--passphrase-file", right], Some(wrong))).ok();
}

#[test]
fn a_passphrase_command_that_fails_says_so_and_not_what_it_printed() {
    if !need(&["openssl", "sh"]) {
        return;
    }
    let home = Home::new();
    let script = |text: &str| format!("[\"sh\", \"-c\", {}]", toml::Value::from(text));
    let long = "yes abcdefghij | tr -d '\\n' | head -c 9000000";
    for (command, said) in [
        (
            script(&format!("printf '{ISSUING_PASSPHRASE}'; exit 3")),
            "failed (exit status: 3)",
        ),
        (script("true"), "printed a passphrase that is empty"),
        (
            script("printf 'a\\nb'"),
            "printed a passphrase that has more than one line",
        ),
        (script(long), "the passphrase_command sh "),
        (script("sleep 0.1; kill -9 $$"), "failed (signal: 9"),
        (
            "[\"/nonexistent/program\"]".to_owned(),
            "could not be run: No such file or directory",
        ),
    ] {
        home.configure("passphrase_command", &command);
        let refused = open(&home, &mut revoke(&home, &[])).exits(4);
        assert!(refused.stderr.contains(said), "{command}: {refused}");
    }
}

#[test]
fn a_timer_whose_passphrase_is_wrong_fails_at_its_first_run() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let wrong = home.write_private("wrong", WRONG);
    let publish = |more: &[&str]| finish(&mut home.pki(&[&["publish"], more].concat()), b"");
    let wrongly = ["--passphrase-file", wrong.to_str().unwrap()];
    // Nothing is due: without --unlock the passphrase is not even read.
    publish(&wrongly).ok();
    publish(&[&["--unlock"][..], &wrongly].concat()).exits(4);
    publish(&["--unlock", "--passphrase-file", "/nonexistent"]).exits(4);
    let said = publish(&["--unlock"]).ok();
    assert!(said.stderr.contains("the issuing key opens"), "{said}");
    assert!(said.stderr.contains("nothing has changed"), "{said}");
}

#[test]
fn a_servers_key_that_does_not_open_keeps_no_revocation_in() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::with_certified_server();
    // Its own passphrase is another one.
    let key = home.home().join("servers/servers.key");
    let key = key.to_str().unwrap();
    let from = format!("pass:{ISSUING_PASSPHRASE}");
    let to = [
        "-passout",
        "pass:another-one-of-its-own",
        "-scrypt",
        "-scrypt_N",
        "16",
        "-v2",
        "aes-256-cbc",
    ];
    let sealed = home.foreign(
        "openssl",
        &[&["pkcs8", "-topk8", "-in", key, "-passin", &from][..], &to].concat(),
    );
    std::fs::write(key, sealed.ok().stdout).unwrap();
    let publish = |more: &[&str]| finish(&mut home.pki(&[&["publish"], more].concat()), b"");
    let said = publish(&["--unlock"]).exits(5);
    assert!(said.stderr.contains("servers.key"), "{said}");
    assert!(said.stderr.contains("pki doctor --unlock"), "{said}");
    let said = publish(&["--unlock", "--json"]).exits(5).json();
    assert!(
        said["unopened"].as_str().unwrap().contains("servers.key"),
        "{said}"
    );
    // The devices' CRL is due, and goes out.
    let crl = home.public("crl/issuing.crl");
    let before = std::fs::read(&crl).unwrap();
    let said = finish(
        &mut home.pki_at("+20d", &["publish", "--no-input", "--unlock"]),
        b"",
    )
    .exits(5);
    assert!(said.stderr.contains("servers.key"), "{said}");
    assert_ne!(std::fs::read(&crl).unwrap(), before);
    // No passphrase opens what is no key.
    std::fs::write(key, "no key").unwrap();
    let said = finish(&mut home.pki_at("+20d", &["publish", "--unlock"]), b"").exits(5);
    assert!(!said.stderr.contains("give it that one again"), "{said}");
}

#[test]
fn a_command_in_the_home_of_another_account_is_not_run() {
    if !is_root() {
        eprintln!("skipped: only root can give a home to another account");
        return;
    }
    let home = Home::bare();
    let ran = home.path("ran");
    home.configure(
        "passphrase_command",
        &format!("[\"touch\", {:?}]", ran.display().to_string()),
    );
    std::os::unix::fs::chown(home.home(), Some(65534), Some(65534)).unwrap();
    for arguments in [
        &["publish", "--unlock"][..],
        &["issue", "zed", "--bundle-passphrase-out", "zed"],
    ] {
        let mut command = home.pki(arguments);
        let said = finish(command.env_remove("PKI_PASSPHRASE_FILE"), b"");
        assert_ne!(said.code, Some(0), "{said}");
        assert!(!ran.exists(), "{said}");
    }
}

/// What a command asks for at a terminal and nobody gives it elsewhere.
#[test]
fn a_dry_run_tells_what_the_command_would_be_refused_for_where_nobody_can_be_asked() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}\""));
    home.issue("alice", &[]);
    let list = home.write_private("people.csv", "employee,device\nbob,phone\n");
    let list = list.to_str().unwrap();
    let key = "the passphrase of the issuing key is missing";
    let place = "there is no terminal to show the bundle's passphrase on";
    let out = ["--out", "new", "--bundle-passphrase-out", "words"];
    let question = "a confirmation is missing";
    let cases: [(&[&str], &[&str], &str); 18] = [
        (&["revoke", "alice"], &[], question),
        (&["offboard", "alice"], &[], question),
        (
            &["offboard", "alice", "--confirm", "bob"],
            &[],
            "\"alice\" was not confirmed",
        ),
        (&["server", "remove", HOST], &[], question),
        (&["issue", "bob"], &out, key),
        (&["issue", "bob"], &[], place),
        (&["issue", "--from", list], &out, key),
        (&["issue", "--from", list], &[], place),
        (&["renew", "alice"], &out, key),
        (&["renew", "alice"], &[], place),
        (&["renew", "--expiring", "400d"], &out, key),
        (&["renew", "--expiring", "400d"], &[], place),
        (&["revoke", "alice", "--yes"], &[], key),
        (&["offboard", "alice", "--confirm", "alice"], &[], key),
        (&["server", "add", "b.acme.example"], &[], key),
        (&["server", "rotate", HOST, "--confirm", HOST], &[], key),
        (&["invite", "create", "bob", "--json"], &[], key),
        (&["invite", "create", "--from", list, "--json"], &[], key),
    ];
    for (command, more, refused) in cases {
        let run = |last: &[&str]| {
            let mut pki = home.pki(&[command, more, last].concat());
            if refused == key {
                pki.env_remove("PKI_PASSPHRASE_FILE");
            }
            finish(&mut pki, b"")
        };
        let dry = run(&["--dry-run"]).ok();
        let told = format!("without --dry-run it would be refused here: {refused}");
        assert!(dry.stderr.contains(&told), "{command:?}: {dry}");
        let done = run(&[]).exits(4);
        assert!(done.text().contains(refused), "{command:?}: {done}");
    }
    // Who says where it comes from and goes, or what needs none, is told nothing of it.
    let is_told = |command: &[&str], has_key: bool| {
        let mut pki = home.pki(&[command, &["--dry-run"]].concat());
        if !has_key {
            pki.env_remove("PKI_PASSPHRASE_FILE");
        }
        let said = finish(&mut pki, b"");
        said.stderr.contains("refused here")
    };
    assert!(!is_told(
        &["issue", "bob", "--out", "new", "--bundle-passphrase-out", "words"],
        true
    ));
    assert!(!is_told(&["publish"], false));
    home.run(&["publish"]);
    assert!(!is_told(&["revoke", "alice", "--yes", "--no-publish"], false));
    // What was recorded and not published needs the key once more.
    home.run(&["revoke", "alice", "--yes", "--no-publish"]);
    assert!(is_told(&["revoke", "alice", "--yes"], false));
    home.run(&["publish"]);
    assert!(!is_told(&["revoke", "alice", "--yes"], false));
    // A lost phone is recorded without it where nobody can tell what pki.toml says of the passphrase.
    home.issue("carol", &[]);
    std::fs::write(home.home().join("pki.toml"), "[").unwrap();
    assert!(!is_told(&["revoke", "carol", "--yes"], false));
    let mut recorded = home.pki(&["revoke", "carol", "--yes"]);
    finish(recorded.env_remove("PKI_PASSPHRASE_FILE"), b"").exits(5);
}
