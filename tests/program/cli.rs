//! What the commands say where all goes well, and what they offer.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use crate::support::{Home, ISSUING_PASSPHRASE, PKI, finish, need};

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
    let home = Home::new();
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
    let serial = || {
        let said = home.run(&["show", "alice", "--json"]).json();
        said["serial"].as_str().unwrap().to_owned()
    };
    // Whoever had one of them before is let in with it, and not with the last one alone.
    let second = serial();
    let told = renewed(&[], "kept");
    for old in [&first.serial, &second] {
        let kept = format!("unless it is revoked: pki revoke {old}\n");
        assert!(told.stderr.contains(&kept), "{told}");
    }
    let dry = home.run(&["renew", "alice", "--revoke-old", "--dry-run"]);
    for old in [&first.serial, &second, &serial()] {
        let would = format!("would revoke {old}, which it replaces\n");
        assert!(dry.stderr.contains(&would), "{dry}");
    }
    let third = serial();
    let told = renewed(&["--revoke-old"], "third");
    for old in [&first.serial, &second, &third] {
        let revoked = format!("     the old certificate {old} is revoked\n");
        assert!(told.stderr.contains(&revoked), "{told}");
    }
    let told = renewed(&[], "last");
    assert_eq!(told.stderr.matches("the old certificate").count(), 1, "{told}");

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
    let home = Home::new();
    // A socket cannot be opened anew by its path, and neither can a pipe of another account.
    for (who, number) in [("alice", 0), ("bob", 9)] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (&ours)
            .write_all(format!("{ISSUING_PASSPHRASE}\n").as_bytes())
            .unwrap();
        drop(ours);
        let mut command = crate::support::program("sh");
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
    // A path with the program's name in it is no command.
    home.write_private("our pki list.csv", "employee;device\nzoe;phone\n");
    let from = [
        "--home",
        named,
        "issue",
        "--from",
        "our pki list.csv",
        "--out",
        "b",
    ];
    let said = finish(
        &mut home.pki(&[&from[..], &["--bundle-passphrase-out", "l"]].concat()),
        b"",
    )
    .exits(1);
    assert!(
        said.stderr
            .contains("< 'our pki list.csv' > 'our pki list-commas.csv'"),
        "{said}"
    );
    // Every command of a hint, and the last home that is named.
    let twice = [
        "--home",
        "/nonexistent",
        "--home",
        named,
        "issue",
        "alice",
        "--out",
        "b",
        "-q",
    ];
    finish(
        &mut home.pki(&[&twice[..], &["--bundle-passphrase-out", "a"]].concat()),
        b"",
    )
    .ok();
    let ending = ["--home", named, "publish"];
    let said = finish(
        &mut home.pki_at("+70d", &[&ending[..], &["--confirm", "CLOCK"]].concat()),
        b"",
    )
    .ok();
    for command in ["renew --expiring", "revoke EMPLOYEE/DEVICE"] {
        assert!(
            said.stderr
                .replace("\n       ", " ")
                .contains(&format!("pki --home '{named}' {command}")),
            "{said}"
        );
    }
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

#[test]
fn what_is_listed_may_be_named_as_what_is_shown() {
    let home = Home::staffed();
    let listed = |arguments: &[&str]| {
        let said = home.run(&[arguments, &["--json"]].concat()).json();
        let devices = said["devices"].as_array().unwrap().clone();
        let addresses = devices
            .iter()
            .map(|device| device["address"].as_str().unwrap().to_owned());
        addresses.collect::<Vec<_>>()
    };
    for whom in ["alice", "alice/phone"] {
        assert_eq!(listed(&["list", whom]), ["alice/phone"]);
        let csv = home.run(&["list", whom, "--csv"]).stdout;
        assert!(
            csv.lines().count() == 2 && csv.contains("\nalice/phone,"),
            "{csv}"
        );
        assert!(!home.run(&["list", whom]).stdout.contains("bob"));
    }
    assert_eq!(listed(&["list", "alice", "--status", "revoked"]), [""; 0]);
    for (whom, what) in [
        ("nobody", "employee nobody"),
        ("alice/tablet", "device alice/tablet"),
    ] {
        let told = home.run(&["list", whom]);
        assert!(
            told.stderr
                .contains(&format!("warning: the ledger knows no {what}\n")),
            "{told}"
        );
    }
    finish(&mut home.pki(&["list", "alice", "--employee", "bob"]), b"").exits(2);
    home.run(&["server", "add", "api.acme.example", "-q"]);
    home.run(&["server", "add", "chat.acme.example", "-q"]);
    let said = home
        .run(&["server", "list", "chat.acme.example", "--json"])
        .json();
    assert_eq!(said["servers"].as_array().unwrap().len(), 1, "{said}");
    assert_eq!(said["servers"][0]["host"], "chat.acme.example");
    let told = finish(&mut home.pki(&["server", "list", "other.acme.example"]), b"").exits(1);
    assert!(told.stderr.contains("other.acme.example"), "{told}");
}

#[test]
fn what_happened_is_told_of_one_person_or_device_alone() {
    let home = Home::staffed();
    home.issue("alice/tablet", &[]);
    home.run(&["revoke", "alice/phone", "--yes"]);
    home.run(&["offboard", "bob", "--confirm", "bob"]);
    home.run(&["offboard", "alice", "--confirm", "alice"]);
    let told = |whom: &str| -> Vec<String> {
        let said = home.run(&["audit", whom, "--json"]).json();
        let events = said["events"].as_array().unwrap().iter();
        events
            .map(|event| event["event"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        told("alice/phone"),
        ["issued", "delivered", "revoked", "offboarded"]
    );
    assert_eq!(told("bob"), ["issued", "delivered", "offboarded", "revoked"]);
    let mut all = told("alice");
    all.sort();
    assert_eq!(
        all,
        [
            "delivered",
            "delivered",
            "issued",
            "issued",
            "offboarded",
            "revoked",
            "revoked"
        ]
    );
    let said = home.run(&["audit", "alice/tablet"]);
    assert!(
        !said.stdout.contains("phone") && !said.stdout.contains("bob"),
        "{said}"
    );
    let said = home.run(&["audit", "nobody"]);
    assert!(said.stderr.contains("knows no employee nobody"), "{said}");
    home.run(&["audit", "verify"]);
}

/// Adds the commands below this one, each by the words that lead to it.
fn visit(command: &clap::Command, words: &[String], found: &mut Vec<(Vec<String>, String)>) {
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let words = [words, &[verb.get_name().to_owned()]].concat();
        let examples = verb.get_after_help().map(ToString::to_string);
        found.push((words.clone(), examples.unwrap_or_default()));
        visit(verb, &words, found);
    }
}

/// Every command, by its words, with the examples of its help.
fn all_help() -> Vec<(Vec<String>, String)> {
    let mut command = pki::cli::command();
    command.build();
    let mut all = Vec::new();
    visit(&command, &[], &mut all);
    all
}

#[test]
fn what_is_pasted_stays_in_one_piece_however_narrow_the_terminal() {
    let all = all_help();
    assert!(all.len() > 25, "{all:?}");
    for (words, examples) in all {
        let mut command = std::process::Command::new(PKI);
        let told = finish(command.args(&words).arg("--help").env("COLUMNS", "40"), b"").ok();
        let lines: Vec<&str> = told.stdout.lines().collect();
        for example in examples.lines().filter(|line| line.starts_with("  ")) {
            assert!(lines.contains(&example), "{example:?} is broken: {told}");
            // Another package of Debian's has a `pki` as well, and cron a PATH of its own.
            let is_crontab = example.trim_start().split(' ').nth(2) == Some("*");
            assert!(
                !is_crontab || example.contains("/usr/local/bin/pki "),
                "{words:?}: {example}"
            );
        }
        assert!(!told.stdout.contains('\u{a0}'), "{told}");
    }
}

#[test]
fn the_options_of_every_command_stand_behind_its_own() {
    let all = all_help();
    for (words, examples) in all {
        for help in ["-h", "--help"] {
            let told = finish(std::process::Command::new(PKI).args(&words).arg(help), b"").text();
            let (_, behind) = told.split_once("\nGlobal options:\n").expect(&told);
            let next = behind.lines().find(|line| line.starts_with(char::is_alphabetic));
            assert_eq!(next, examples.lines().next(), "{told}");
        }
    }
}

#[test]
fn all_commands_fit_one_screen() {
    for arguments in [&[][..], &["--help"], &["help"], &["-h"]] {
        let mut command = std::process::Command::new(PKI);
        let told = finish(command.args(arguments).env("COLUMNS", "80"), b"").text();
        assert!(told.lines().count() < 24, "{arguments:?}: {told}");
        let words: Vec<&str> = told.split_whitespace().collect();
        for verb in pki::cli::command().get_subcommands() {
            assert!(words.contains(&verb.get_name()), "{}: {told}", verb.get_name());
        }
        let widest = told.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{told}");
    }
}

#[test]
fn init_tells_of_another_program_of_its_name() {
    use std::os::unix::fs::PermissionsExt;
    let others = tempfile::tempdir().unwrap();
    let other = others.path().join("pki");
    std::fs::write(&other, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).unwrap();
    let home = Home::unfounded();
    let mut command = home.pki(&["init", "--org", "Acme Ltd", "--domain", "acme.example"]);
    let told = finish(command.env("PATH", others.path()), b"").ok();
    assert!(
        told.stderr.contains(&format!(
            "pki: {} is another program of the same name",
            other.display()
        )),
        "{told}"
    );
    // It is itself by whatever link.
    std::fs::remove_file(&other).unwrap();
    std::os::unix::fs::symlink(PKI, &other).unwrap();
    if !Path::new("/usr/bin/pki").exists() {
        let home = Home::unfounded();
        let mut command = home.pki(&["init", "--org", "Acme Ltd", "--domain", "acme.example"]);
        let told = finish(command.env("PATH", others.path()), b"").ok();
        assert!(!told.stderr.contains("another program"), "{told}");
    }
}

#[test]
fn words_of_other_tools_lead_to_the_command_that_does_it() {
    for (line, tip) in [
        (
            "unrevoke alice",
            "`pki issue ADDRESS` makes the device a new certificate",
        ),
        ("delete alice", "`pki revoke ADDRESS` locks a device out"),
        ("status", "`pki doctor` tells what is wrong"),
        ("gen-crl", "`pki publish` signs the CRL"),
        (
            "build-client-full alice",
            "`pki issue ADDRESS` makes key and certificate",
        ),
        ("init-pki", "`pki init` makes root"),
        ("servers list", "`pki server list`"),
        ("certs list", "`pki list` shows people and devices"),
        ("pin show", "`pki pins show`"),
        ("server delete api.acme.example", "`pki server remove HOST`"),
        ("server renew api.acme.example", "`pki server issue HOST`"),
        ("server revoke api.acme.example", "`pki revoke SERIAL`"),
        ("invite alice", "`pki invite create alice` invites a device"),
        ("invite revoke 7K2M9XQ4", "`pki invite cancel ID`"),
        ("alice issue", "write `pki issue alice`"),
        ("alice/phone revoke", "write `pki revoke alice/phone`"),
        ("issue alice phone", "a device is written alice/phone"),
        ("issue alice --days 1y", "it is a number of days: --days 365"),
        ("issue --csv people.csv", "--from FILE"),
        ("revoke alice --all", "`pki offboard EMPLOYEE` all of a person"),
        ("issue alice --passphrase secret", "in the shell's history now"),
        ("init --password=secret", "in the shell's history now"),
        ("init --root-passphrase x", "--root-passphrase-file PATH"),
        ("issue --form people.csv", "--from FILE"),
        (
            "list 21:CE:E9:56:00:00:00:00:00:00:00:00:00:00:00:01",
            "`pki show 21CEE956000000000000000000000001`",
        ),
        ("issue ./people.csv", "`pki issue --from ./people.csv"),
        ("issue PEOPLE.CSV", "`pki issue --from PEOPLE.CSV"),
        ("renew --from people.csv", "`pki issue --from FILE --update`"),
        ("renew alice --force", "nothing is forced"),
        ("publish -f", "nothing is forced"),
        ("issue alice -o bundles", "by --out"),
        ("issue alice --expires 30d", "by --days"),
        ("issue alice --validity 30", "by --days"),
        ("revoke alice -r lost", "by --reason"),
    ] {
        let mut command = std::process::Command::new(PKI);
        let told = finish(command.args(line.split(' ')), b"").exits(2);
        assert_eq!(told.stderr.matches("tip:").count(), 1, "{told}");
        assert!(told.stderr.contains(tip), "{told}");
        assert!(
            !told.stderr.contains("allow-mounted") && !told.stderr.contains("Usage:"),
            "{told}"
        );
        let mut command = std::process::Command::new(PKI);
        let told = finish(command.args(line.split(' ')).arg("--json"), b"").exits(2);
        let error: serde_json::Value = serde_json::from_str(&told.stderr).unwrap();
        assert!(error["error"]["hint"].as_str().unwrap().contains(tip), "{told}");
    }
    // A month has no letter.
    for line in ["list --expiring 1m --check", "renew --expiring 1m"] {
        let mut command = std::process::Command::new(PKI);
        let told = finish(command.args(line.split(' ')), b"").exits(2);
        assert!(told.stderr.contains("30d"), "{told}");
    }
    // A flag that is like another only by its beginning is not taken for it; one that was mistyped is.
    for (line, similar) in [
        ("show alice --al", None),
        ("list -a", None),
        ("list --active", None),
        ("revoke alice --reasn lost", Some("--reason")),
    ] {
        let mut command = std::process::Command::new(PKI);
        let told = finish(command.args(line.split(' ')), b"").exits(2);
        match similar {
            Some(similar) => assert!(told.stderr.contains(&format!("'{similar}'")), "{told}"),
            None => assert!(
                !told.stderr.contains("tip:") && !told.stderr.contains("allow-mounted"),
                "{told}"
            ),
        }
    }
    // What people say of a device that is gone, and how they write what it runs.
    for (word, reason) in [
        ("theft", "stolen"),
        ("keyCompromise", "compromised"),
        ("superseded", "replaced"),
        ("fired", "left"),
    ] {
        let mut command = std::process::Command::new(PKI);
        let told = finish(command.args(["revoke", "alice", "--reason", word]), b"").exits(2);
        assert!(told.stderr.contains(&format!("that is '{reason}'")), "{told}");
    }
}

#[test]
fn a_nightly_list_that_changes_nothing_is_silent_with_q() {
    let home = Home::new();
    let nightly = |rows: &str, more: &[&str]| {
        home.write_private("people.csv", &format!("employee,device\n{rows}"));
        let from = ["issue", "--from", "people.csv", "--out", "bundles"];
        let passphrases = ["--bundle-passphrase-out", "passphrases"];
        home.run(&[&from[..], &passphrases, more].concat())
    };
    nightly("alice,phone\nbob,phone\n", &[]);
    let told = nightly("alice,phone\nbob,phone\n", &["-q"]);
    assert_eq!(told.text(), "", "{told}");
    let told = nightly("alice,phone\nbob,phone\n", &[]);
    assert_eq!(told.stdout.matches("already").count(), 2, "{told}");
    let told = nightly("alice,phone\ncarol,phone\n", &["-q"]).stdout;
    assert!(told.contains("carol/phone") && !told.contains("alice"), "{told}");
    let said = nightly("alice,phone\n", &["-q", "--json"]).json();
    assert_eq!(said["already"][0], "alice/phone", "{said}");
}
