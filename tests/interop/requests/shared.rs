//! Shared keys (HMAC), for devices that cannot sign.

use std::os::unix::fs::PermissionsExt;

use super::Api;
use super::api::{ORIGIN, data, enroll, renew, with_devices};
use crate::support::{HOST, Home, finish, need};

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
    // The same key after a renewal, whose certificate is another.
    renew(&home, "alice");
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
    let name = format!("alice-scanner.{HOST}.hmac.json");
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
        let key = read(&format!("{name}-scanner.{HOST}.hmac.json"));
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
    // A secret of another epoch or host is noticed, and no key is made of it.
    let directory = home.home().join("hmac").join(HOST);
    let first = std::fs::read_dir(&directory)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
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
    let said = pki(&["doctor", "--json"]).json();
    let findings = said["findings"].as_array().unwrap();
    let of_secrets = findings.iter().filter(|finding| finding["code"] == "hmac-secret");
    assert_eq!(of_secrets.count(), 1, "{said}");
}
