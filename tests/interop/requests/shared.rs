//! Shared keys (HMAC), for devices that cannot sign.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Api;
use super::api::{ORIGIN, data, enroll, renew, with_devices};
use crate::support::{HOST, Home, ISSUING_PASSPHRASE, finish, need};

/// Writes the key of Alice's phone.
fn key(home: &Home, file: &str) {
    home.run(&["hmac", "show", HOST, "alice/phone", "--out", file])
        .ok();
}

#[test]
fn a_shared_key_is_one_devices_and_does_not_come_back_with_its_name() {
    let Some(home) = with_devices(&[]).filter(|_| need(&["curl"])) else {
        return;
    };
    home.run(&["hmac", "rotate", HOST]).ok();
    key(&home, "alice-lost.json");
    home.run(&["revoke", "alice", "--yes"]).ok();
    // The next phone has a key of its own.
    enroll(&home, "alice");
    key(&home, "alice-before.json");
    // The same key after a renewal, whose certificate is another; also where the old one is revoked for it.
    let before = home.run(&["show", "alice/phone", "--json"]).json();
    renew(&home, "alice");
    let old = before["serial"].as_str().unwrap();
    home.run(&["revoke", old, "--reason", "replaced", "--yes"]).ok();
    key(&home, "alice-renewed.json");
    let text = |name: &str| std::fs::read_to_string(home.path(name)).unwrap();
    assert_eq!(text("alice-renewed.json"), text("alice-before.json"));
    assert_ne!(text("alice-lost.json"), text("alice-before.json"));
    home.run(&["hmac", "rotate", HOST, "--overlap", "1d"]).ok();
    key(&home, "alice.json");
    home.run(&["hmac", "show", HOST, "--out", "hmac.json"]).ok();
    let mode = std::fs::metadata(home.path("hmac.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    std::fs::copy(data("shared.mjs"), home.path("shared.mjs")).unwrap();
    let api = Api::start(home, "plain", &["6000", "none", "hmac.json"]);
    let said = api.says("shared.mjs");
    assert_eq!(said, "18 requests, 0 with another answer\n");
    by_the_program(&api);

    // The old keys are out at once where there is no overlap.
    let home = &api.home;
    home.run(&["hmac", "rotate", HOST, "--overlap", "0s"]).ok();
    std::thread::sleep(std::time::Duration::from_secs(1));
    home.run(&["hmac", "show", HOST, "--out", "next.json"]).ok();
    let next: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(home.path("next.json")).unwrap()).unwrap();
    let numbers: Vec<u64> = next["epochs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|epoch| epoch["number"].as_u64().unwrap())
        .collect();
    // Also the first one, which was to be good for a day.
    assert_eq!(numbers, [3]);
}

/// What the application answers to what `pki sign-request` signs by Alice's shared key, and curl sends.
fn answer(api: &Api) -> String {
    let url = format!("{ORIGIN}/orders");
    let signed = api
        .home
        .run(&["sign-request", &url, "--hmac", "alice.json"])
        .ok()
        .stdout;
    let there = format!("http://localhost:{}/orders", api.port);
    let curl = ["-sS", "-H", "@-", &there];
    api.home
        .foreign_given("curl", &curl, signed.as_bytes())
        .ok()
        .stdout
}

/// The program signs by a device's key for its host, and by nothing else.
fn by_the_program(api: &Api) {
    let said = answer(api);
    assert!(said.contains(r#""device":"alice/phone""#), "{said}");
    for (url, file, why) in [
        (
            "https://api.acme.example/",
            "hmac.json",
            "is no key as `pki hmac show",
        ),
        (
            "https://other.example/",
            "alice.json",
            "is for api.acme.example, and not for other.example",
        ),
    ] {
        let wrong = finish(&mut api.home.pki(&["sign-request", url, "--hmac", file]), b"");
        assert!(wrong.code == Some(1) && wrong.stderr.contains(why), "{wrong}");
    }
}

#[test]
fn an_application_that_was_given_no_secrets_takes_no_shared_key() {
    let Some(home) = with_devices(&[]).filter(|_| need(&["curl"])) else {
        return;
    };
    home.run(&["hmac", "rotate", HOST]).ok();
    key(&home, "alice.json");
    let said = answer(&Api::start(home, "plain", &["6000"]));
    assert!(said.contains(r#""code":"malformed""#), "{said}");
}

#[test]
fn a_profile_has_keys_handed_out_with_certificates() {
    let home = Home::new();
    let profile = home.home().join("templates/profiles/scanner.toml");
    std::fs::create_dir_all(profile.parent().unwrap()).unwrap();
    std::fs::write(
        &profile,
        format!("days = 30\nmax_days = 90\nhmac = [\"{HOST}\"]\n"),
    )
    .unwrap();
    let issue = |more: &[&str]| {
        let device = [
            "issue",
            "--profile",
            "scanner",
            "--bundle-passphrase-out",
            "words.tsv",
            "--out",
            "made",
        ];
        finish(home.pki(&device).args(more), b"")
    };
    // No certificate is issued where a key cannot be handed out with it.
    let refused = issue(&["alice/scanner"]);
    assert!(
        refused.code == Some(1) && refused.stderr.contains("has no shared keys"),
        "{refused}"
    );
    assert_eq!(
        home.run(&["list", "--json"]).json()["devices"],
        serde_json::json!([])
    );

    home.run(&["hmac", "rotate", HOST]).ok();
    let one = [
        "issue",
        "alice/scanner",
        "--profile",
        "scanner",
        "--bundle-passphrase-out",
        "word",
        "--out",
        "made",
    ];
    let issued = home.run(&[&one[..], &["--json"]].concat());
    let name = format!("alice-scanner@{HOST}.hmac.json");
    let files = issued.ok().json()["files"].clone();
    assert!(
        files
            .as_array()
            .unwrap()
            .iter()
            .any(|file| file.as_str().unwrap().ends_with(&name)),
        "{files}"
    );
    let read = |name: &str| std::fs::read_to_string(home.path("made").join(name)).unwrap();
    let first = read(&name);
    home.run(&["hmac", "show", HOST, "alice/scanner", "--out", "key.json"])
        .ok();
    assert_eq!(std::fs::read_to_string(home.path("key.json")).unwrap(), first);
    let mode = std::fs::metadata(home.path("made").join(&name))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    std::fs::write(
        home.path("people.csv"),
        "employee,device\nbob,scanner\ncarol,scanner\n",
    )
    .unwrap();
    issue(&["--from", "people.csv"]).ok();
    for name in ["bob", "carol"] {
        let key = read(&format!("{name}-scanner@{HOST}.hmac.json"));
        assert!(key.contains(&format!("\"keyid\": \"{name}/scanner/1\"")), "{key}");
    }
    // A renewal hands it out again: the one of the epoch that is current then.
    home.run(&["hmac", "rotate", HOST]).ok();
    home.renew("alice/scanner", &[]);
    let renewed = std::fs::read_to_string(home.path("renewed").join(&name)).unwrap();
    assert!(
        renewed.contains("alice/scanner/2") && renewed != first,
        "{renewed}"
    );
}

/// Writes a profile of devices that get keys of these hosts.
fn write_profile(home: &Home, name: &str, hosts: &str) {
    let profile = home.home().join(format!("templates/profiles/{name}.toml"));
    std::fs::create_dir_all(profile.parent().unwrap()).unwrap();
    std::fs::write(&profile, format!("days = 30\nmax_days = 90\nhmac = [{hosts}]\n")).unwrap();
}

#[test]
fn devices_whose_names_come_to_one_name_of_a_file_have_a_key_each() {
    let home = Home::new();
    write_profile(&home, "scanner", &format!("\"{HOST}\", \"acme.example\""));
    for host in [HOST, "acme.example"] {
        home.run(&["hmac", "rotate", host]).ok();
    }
    let list = "employee,device\nal,b-c\nal-b,c\nx,phone\nx,phone.api\n";
    std::fs::write(home.path("people.csv"), list).unwrap();
    let all = [
        "issue",
        "--from",
        "people.csv",
        "--profile",
        "scanner",
        "--out",
        "made",
    ];
    home.run(&[&all[..], &["--bundle-passphrase-out", "words.tsv"]].concat())
        .ok();
    let mut named: Vec<String> = std::fs::read_dir(home.path("made"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(".hmac.json"))
        .map(|path| {
            let key: serde_json::Value =
                serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let [keyid, host] = ["keyid", "host"].map(|name| key[name].as_str().unwrap());
            let name = path
                .to_str()
                .unwrap()
                .replace(&format!("@{host}.hmac.json"), ".p12");
            assert!(Path::new(&name).exists(), "{name}");
            format!("{keyid} {host}")
        })
        .collect();
    named.sort();
    let devices = ["al-b/c", "al/b-c", "x/phone", "x/phone.api"];
    let mut right: Vec<String> = devices
        .iter()
        .flat_map(|device| [HOST, "acme.example"].map(|host| format!("{device}/1 {host}")))
        .collect();
    right.sort();
    assert_eq!(named, right);
}

#[test]
fn a_secret_that_does_not_open_keeps_those_alone_waiting_who_are_to_have_a_key_of_it() {
    let home = Home::new();
    write_profile(&home, "scanner", &format!("\"{HOST}\""));
    write_profile(&home, "printer", "\"other.acme.example\"");
    for host in [HOST, "other.acme.example"] {
        home.run(&["hmac", "rotate", host]).ok();
    }
    std::fs::remove_dir_all(home.home().join("hmac").join(HOST)).unwrap();
    let issue = |address: &str, profile: &str| {
        let word = address.replace('/', "-");
        let one = [
            "issue",
            address,
            "--profile",
            profile,
            "--bundle-passphrase-out",
            &word,
            "--out",
            "made",
        ];
        finish(&mut home.pki(&one), b"")
    };
    let refused = issue("alice/scanner", "scanner");
    assert_eq!(refused.code, Some(1), "{refused}");
    let listed = home.run(&["list", "--json"]).json();
    assert_eq!(listed["devices"], serde_json::json!([]));
    issue("alice/phone", "device").ok();
    issue("alice/printer", "printer").ok();
    std::fs::write(home.path("people.csv"), "employee,device\nbob,scanner\n").unwrap();
    let list = [
        "issue",
        "--from",
        "people.csv",
        "--profile",
        "scanner",
        "--out",
        "made",
    ];
    let refused = finish(
        home.pki(&list).args(["--bundle-passphrase-out", "words.tsv"]),
        b"",
    );
    assert_eq!(refused.code, Some(1), "{refused}");
    let listed = home.run(&["list", "bob", "--json"]);
    assert!(!listed.stdout.contains("bob/scanner"), "{listed}");
}

#[test]
fn the_secrets_of_an_epoch_that_was_ended_meanwhile_are_not_handed_out() {
    let Some(home) = with_devices(&[]).filter(|_| need(&["mkfifo"])) else {
        return;
    };
    home.run(&["hmac", "rotate", HOST]).ok();
    home.foreign("mkfifo", &["-m", "600", "typed"]).ok();
    let mut command = home.pki(&[
        "hmac",
        "show",
        HOST,
        "--out",
        "hmac.json",
        "--passphrase-file",
        "typed",
    ]);
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    // It is opened once the epochs were read.
    let mut typed = std::fs::File::options()
        .write(true)
        .open(home.path("typed"))
        .unwrap();
    home.run(&["hmac", "rotate", HOST, "--overlap", "0s"]).ok();
    std::io::Write::write_all(&mut typed, ISSUING_PASSPHRASE.as_bytes()).unwrap();
    drop(typed);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("begun a new epoch"), "{said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!home.path("hmac.json").exists());
}

#[test]
fn a_key_is_shown_to_a_file_that_is_new_and_recorded_before() {
    let Some(home) = with_devices(&[]) else {
        return;
    };
    let pki = |arguments: &[&str]| finish(&mut home.pki(arguments), b"");
    let none = pki(&["hmac", "show", HOST]);
    assert!(
        none.code == Some(1) && none.stderr.contains("has no shared keys"),
        "{none}"
    );
    assert_eq!(pki(&["hmac", "show"]).ok().stdout, "");
    home.run(&["hmac", "rotate", HOST]).ok();
    let shown = pki(&["hmac", "show"]).ok().stdout;
    assert!(shown.starts_with("api.acme.example  epoch 1, since "), "{shown}");
    for unknown in ["eve/phone", "carol/phone"] {
        let said = pki(&["hmac", "show", HOST, unknown, "--out", "key.json"]);
        assert!(said.code == Some(1) && !home.path("key.json").exists(), "{said}");
    }
    let within = home.home().join("key.json");
    for out in ["alice.csr", within.to_str().unwrap()] {
        let said = pki(&["hmac", "show", HOST, "--out", out]);
        assert_eq!(said.code, Some(1), "{said}");
    }
    assert!(!home.run(&["audit"]).ok().stdout.contains("handed out"));
    key(&home, "key.json");
    let said = home.run(&["audit", "alice"]).ok().stdout;
    assert!(
        said.contains("key of alice/phone for api.acme.example handed out"),
        "{said}"
    );
    let directory = home.home().join("hmac").join(HOST);
    let first = std::fs::read_dir(&directory)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    // One that others can read is opened for nobody.
    let of_secrets = || {
        let said = pki(&["doctor", "--json"]).json();
        let mut findings = said["findings"].as_array().unwrap().clone();
        findings.retain(|finding| finding["code"] == "hmac-secret");
        findings
    };
    let set_mode = |mode| std::fs::set_permissions(&first, PermissionsExt::from_mode(mode)).unwrap();
    set_mode(0o644);
    let chmod = format!("run `chmod go= {}`", first.display());
    let said = pki(&["hmac", "show", HOST, "--out", "hmac.json"]);
    assert!(said.code == Some(1) && said.stderr.contains(&chmod), "{said}");
    assert_eq!(of_secrets()[0]["remedy"], chmod.as_str());
    set_mode(0o600);
    assert_eq!(of_secrets().len(), 0);
    // A secret of another epoch or host is noticed, and no key is made of it.
    home.run(&["hmac", "rotate", "other.acme.example"]).ok();
    let others = home.home().join("hmac/other.acme.example");
    let other = std::fs::read_dir(others).unwrap().next().unwrap().unwrap().path();
    std::fs::copy(other, &first).unwrap();
    let said = pki(&["hmac", "show", HOST, "--out", "hmac.json"]);
    assert!(
        said.code == Some(1) && said.stderr.contains("is the secret of another epoch or host"),
        "{said}"
    );
    std::fs::remove_file(&first).unwrap();
    assert_eq!(of_secrets().len(), 1);
}

#[test]
fn a_profile_that_promises_what_no_host_has_is_found_before_anybody_is_issued_to() {
    let home = Home::new();
    let profiles = home.home().join("templates/profiles");
    std::fs::create_dir_all(&profiles).unwrap();
    let write = |text: &str| std::fs::write(profiles.join("scanner.toml"), text).unwrap();
    let codes = || -> Vec<String> {
        let said = finish(&mut home.pki(&["doctor", "--json"]), b"").json();
        let findings = said["findings"].as_array().unwrap().iter();
        findings
            .map(|finding| finding["code"].as_str().unwrap().to_owned())
            .collect()
    };
    let issue = ["issue", "alice/scanner", "--profile", "scanner"];
    let dry = || finish(&mut home.pki(&[&issue[..], &["--dry-run"]].concat()), b"");
    write(&format!("days = 90\nmax_days = 398\nhmac = [\"{HOST}\"]\n"));
    let refused = dry().exits(1);
    assert!(
        refused.stderr.contains(&format!("pki hmac rotate {HOST}")),
        "{refused}"
    );
    assert!(codes().contains(&"hmac-host".to_owned()));
    home.run(&["hmac", "rotate", HOST]);
    let would = dry().exits(0);
    assert!(would.stderr.contains("would write its shared key"), "{would}");
    assert!(!codes().contains(&"hmac-host".to_owned()));
    write("days = [");
    assert!(codes().contains(&"profile".to_owned()));
    // Whoever is named alone has the only device that she has.
    write(&format!("days = 90\nmax_days = 398\nhmac = [\"{HOST}\"]\n"));
    home.issue("alice/scanner", &["--profile", "scanner"]);
    home.run(&["hmac", "show", HOST, "alice", "--out", "key.json"]);
    let key = std::fs::read_to_string(home.path("key.json")).unwrap();
    assert!(key.contains("alice/scanner"), "{key}");
}
