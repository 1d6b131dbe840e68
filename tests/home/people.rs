//! People change, and people slip: names and phones become others, lists say otherwise than the ledger, and
//! fingers hit the key beside.

use serde_json::Value;

use crate::support::{Bundle, Finished, Home, ISSUING_PASSPHRASE, finish};

fn run(home: &Home, arguments: &[&str]) -> Finished {
    finish(&mut home.pki(arguments), b"")
}

/// What `pki show` knows of a device.
fn shown(home: &Home, address: &str) -> Value {
    home.run(&["show", address, "--json"]).json()
}

/// The subject of a bundle's certificate, as OpenSSL says it.
fn subject(home: &Home, bundle: &Bundle) -> String {
    let [leaf, _, _] = home.opened(bundle);
    let leaf = leaf.display().to_string();
    home.foreign(
        "openssl",
        &["x509", "-in", &leaf, "-noout", "-subject", "-nameopt", "utf8"],
    )
    .ok()
    .stdout
}

/// Brings the certificates in line with a list of these rows.
fn list(home: &Home, rows: &str, more: &[&str]) -> Finished {
    home.write_private("people.csv", &format!("employee,device,name,email,for\n{rows}"));
    let arguments = [
        &[
            "issue",
            "--from",
            "people.csv",
            "--out",
            "out",
            "--bundle-passphrase-out",
            "passphrases.tsv",
        ],
        more,
    ];
    run(home, &arguments.concat())
}

#[test]
fn a_renewal_takes_a_new_name_address_and_make_of_phone_and_the_next_one_remembers_them() {
    let home = Home::staffed();
    let changes = [
        "--name",
        "Alice Roe",
        "--email",
        "roe@acme.example",
        "--for",
        "ios",
    ];
    let renewed = home.renew("alice", &changes);
    assert!(subject(&home, &renewed).contains("CN=Alice Roe (phone)"));
    assert!(
        renewed
            .files
            .iter()
            .any(|file| file.extension().unwrap() == "mobileconfig")
    );
    let known = shown(&home, "alice/phone");
    let of = |what: &str| known[what].as_str().unwrap().to_owned();
    assert_eq!(
        [of("name"), of("email"), of("for")],
        ["Alice Roe", "roe@acme.example", "ios"]
    );
    // What another make opens, and not what the last one did.
    assert_eq!(of("key"), "bundle (modern)");
    home.run(&[
        "renew",
        "alice",
        "--out",
        "next",
        "--bundle-passphrase-out",
        "next.passphrase",
    ]);
    assert_eq!(shown(&home, "alice/phone")["name"], "Alice Roe");
    // Of many at once one name would be everybody's.
    for many in ["--expired", "--expiring=30d"] {
        run(&home, &["renew", many, "--name", "X"]).exits(2);
    }
}

#[test]
fn a_new_phone_after_a_lost_one_remembers_whose_it_is_and_says_so() {
    let home = Home::staffed();
    home.run(&["revoke", "alice", "--yes"]);
    let said = run(
        &home,
        &["issue", "alice", "--for", "ios", "--bundle-passphrase-out", "new"],
    )
    .ok();
    let told = "remembered for alice/phone: name Alice Doe, e-mail alice@acme.example";
    assert!(said.stderr.contains(told), "{said}");
    let known = shown(&home, "alice/phone");
    assert_eq!(
        [&known["name"], &known["email"]],
        ["Alice Doe", "alice@acme.example"]
    );
    home.run(&["revoke", "alice", "--yes"]);
    let said = run(
        &home,
        &[
            "issue",
            "alice",
            "--name",
            "Alice Roe",
            "--bundle-passphrase-out",
            "newer",
        ],
    )
    .ok();
    let told = "remembered for alice/phone: e-mail alice@acme.example, for ios";
    assert!(said.stderr.contains(told), "{said}");
    assert_eq!(shown(&home, "alice/phone")["name"], "Alice Roe");
    // Name and address are hers, and what one of her devices runs is not what the others do.
    let said = run(
        &home,
        &["issue", "alice/tablet", "--bundle-passphrase-out", "tablet"],
    )
    .ok();
    let told = "remembered for alice/tablet: name Alice Roe, e-mail alice@acme.example\n";
    assert!(said.stderr.contains(told), "{said}");
    assert_eq!(shown(&home, "alice/tablet")["for"], "any");
    // A list tells it as well, of those to whom something was issued.
    home.run(&["revoke", "alice/phone", "--yes"]);
    let said = list(&home, "alice,phone,,,\nalice,watch,,,\n", &[]).exits(5);
    let told = "remembered for alice/watch: name Alice Roe, e-mail alice@acme.example\n";
    assert!(said.stderr.contains(told), "{said}");
    assert!(!said.stderr.contains("remembered for alice/phone"), "{said}");
    let said = run(&home, &["issue", "bob/tablet", "--bundle-passphrase-out", "bob"]).ok();
    assert!(!said.stderr.contains("remembered"), "{said}");
}

#[test]
fn what_a_list_has_otherwise_is_told_and_update_renews_it() {
    let home = Home::staffed();
    let same = "alice,phone,Alice Doe,alice@acme.example,any\nbob,phone,,,\n";
    let said = list(&home, same, &["--update"]).ok();
    assert!(
        !said.text().contains("otherwise") && said.stdout.contains("already"),
        "{said}"
    );
    let rows = "alice,phone,Alice Roe,,ios\nbob,phone,,bob@acme.example,\n";
    let said = list(&home, rows, &[]).ok();
    assert!(
        said.stdout
            .contains("already, but name is Alice Doe, in the list Alice Roe; for is any, in the list ios"),
        "{said}"
    );
    assert!(said.stderr.contains("--update"), "{said}");
    let said = list(&home, rows, &["--json"]).ok().json();
    let bob = &said["differing"][1];
    assert_eq!(
        [&bob["address"], &bob["differences"][0]["asked"]],
        ["bob/phone", "bob@acme.example"]
    );
    assert_eq!(said["already"].as_array().unwrap().len(), 2);
    let said = list(&home, &format!("{rows}carol,phone,,,\n"), &["--update", "--json"])
        .ok()
        .json();
    assert_eq!(said["issued"].as_array().unwrap().len(), 3, "{said}");
    let known = shown(&home, "alice/phone");
    // What the list does not say is as it was.
    assert_eq!(
        [&known["name"], &known["email"], &known["for"]],
        ["Alice Roe", "alice@acme.example", "ios"]
    );
    // Every night, and it is done once.
    let said = list(&home, &format!("{rows}carol,phone,,,\n"), &["--update", "--json"])
        .ok()
        .json();
    assert_eq!(said["already"].as_array().unwrap().len(), 3, "{said}");
    run(
        &home,
        &["issue", "dora", "--update", "--bundle-passphrase-out", "dora"],
    )
    .exits(2);
}

#[test]
fn a_list_gives_no_bundle_to_a_device_that_made_its_own_key() {
    let home = Home::new();
    home.request("own");
    home.run(&["issue", "alice", "--csr", "own.csr", "--name", "Alice Doe"]);
    let said = list(&home, "alice,phone,Alice Roe,,\n", &["--update"]).ok();
    assert!(said.stdout.contains("already, but name is Alice Doe"), "{said}");
    assert!(said.stderr.contains("--csr FILE --name"), "{said}");
    // By hand it goes.
    home.run(&["renew", "alice", "--csr", "own.csr", "--name", "Alice Roe"]);
    assert_eq!(shown(&home, "alice/phone")["name"], "Alice Roe");
}

#[test]
fn nobody_is_called_as_another_employee_goes_by() {
    let home = Home::staffed();
    for name in ["bob", "Bob", "bob/phone", "BOB "] {
        let said = run(
            &home,
            &["issue", "mallory", "--name", name, "--bundle-passphrase-out", "m"],
        )
        .exits(1);
        assert!(
            said.stderr.contains("that is how the employee bob goes"),
            "{said}"
        );
        let said = run(
            &home,
            &["renew", "alice", "--name", name, "--bundle-passphrase-out", "m"],
        )
        .exits(1);
        assert!(said.stderr.contains("full name"), "{said}");
    }
    let said = list(&home, "mallory,phone,bob,,\ncarol,phone,Carol,,\n", &[]).exits(5);
    assert!(
        said.stdout
            .contains("failed: mallory/phone cannot be called \"bob\""),
        "{said}"
    );
    // As he goes himself he may be called, and as nobody does.
    home.run(&[
        "renew",
        "bob",
        "--name",
        "Bob",
        "--out",
        "bob",
        "--bundle-passphrase-out",
        "b",
    ]);
    home.run(&[
        "issue",
        "dora",
        "--name",
        "Bob Smith",
        "--bundle-passphrase-out",
        "d",
    ]);
    // Who was called so before the other came stays so.
    home.run(&["issue", "erin", "--name", "frank", "--bundle-passphrase-out", "e"]);
    home.run(&["issue", "frank", "--bundle-passphrase-out", "f"]);
    home.run(&["renew", "erin", "--out", "erin", "--bundle-passphrase-out", "e2"]);
    // Where no certificate carries a name, none can be mistaken.
    home.configure("names_in_certificates", "false");
    home.run(&[
        "issue",
        "mallory",
        "--name",
        "bob",
        "--bundle-passphrase-out",
        "m",
    ]);
}

#[test]
fn a_file_is_no_employee() {
    let home = Home::staffed();
    home.write_private("people.csv", "employee,device\ncarol,phone\n");
    home.write_private("people", "\u{FEFF}Employee;Device\ncarol;phone\n");
    for (named, hint) in [
        ("people.csv", "did you mean `pki issue --from people.csv"),
        ("people", "did you mean `pki issue --from people"),
        // Where it is not, it is a list all the same.
        ("staff.xlsx", "`pki issue --from staff.xlsx"),
        ("new/people.tsv", "`pki issue --from new/people.tsv"),
        ("phone.csr", "`pki issue EMPLOYEE/DEVICE --csr phone.csr`"),
        ("alice-phone.p12", "a device goes by its address"),
    ] {
        let said = run(&home, &["issue", named, "--bundle-passphrase-out", "x"]).exits(2);
        assert!(said.stderr.contains(hint), "{said}");
    }
    for verb in [
        &["revoke"][..],
        &["renew"],
        &["offboard", "--confirm", "people.csv"],
    ] {
        let said = run(&home, &[verb, &["people.csv", "--no-input"]].concat()).exits(1);
        assert!(said.stderr.contains("that is a file"), "{said}");
    }
    assert!(!home.path("x").exists());
    // What only happens to be called as she is keeps nobody waiting.
    home.write_private("carol", "not a list");
    home.run(&["issue", "carol", "--bundle-passphrase-out", "x"]);
}

#[test]
fn what_a_device_runs_is_known_however_it_is_capitalized() {
    let home = Home::new();
    for written in ["iOS", "macOS", "ANDROID"] {
        let address = format!("alice/{}", written.to_lowercase());
        let passphrase = format!("{written}.txt");
        run(
            &home,
            &[
                "issue",
                &address,
                "--for",
                written,
                "--bundle-passphrase-out",
                &passphrase,
            ],
        )
        .ok();
        let said = home.run(&["show", &address, "--json"]).json();
        assert_eq!(said["for"], written.to_lowercase(), "{said}");
    }
}

#[test]
fn a_slip_near_somebody_known_is_told_and_keeps_no_script_waiting() {
    let home = Home::staffed();
    let warned = |said: &Finished| said.stderr.contains("one slip away from");
    let said = run(&home, &["issue", "alcie", "--bundle-passphrase-out", "1"]).ok();
    assert!(
        said.stderr
            .contains("alcie is new here, and one slip away from alice"),
        "{said}"
    );
    let said = run(&home, &["issue", "alice/phnoe", "--bundle-passphrase-out", "2"]).ok();
    assert!(said.stderr.contains("one slip away from alice/phone"), "{said}");
    let said = run(&home, &["issue", "alice.phone", "--bundle-passphrase-out", "3"]).ok();
    assert!(
        said.stderr
            .contains("alice.phone is new here, and one slip away from alice/phone"),
        "{said}"
    );
    // Who is known is not new, and a number is no slip.
    for (number, address) in ["alcie/tablet", "alice2", "alice/phone2", "carol", "alice.smith"]
        .iter()
        .enumerate()
    {
        let said = run(
            &home,
            &["issue", address, "--bundle-passphrase-out", &format!("x{number}")],
        )
        .ok();
        assert!(!warned(&said), "{said}");
    }
    let said = list(&home, "robb,phone,,,\nbobb,phone,,,\n", &["--dry-run"]).ok();
    assert!(
        said.stderr
            .contains("line 3: bobb/phone is new here, and one slip away from bob"),
        "{said}"
    );
    assert!(!said.stderr.contains("line 2:"), "{said}");
}

#[test]
fn who_called_is_in_the_audit_beside_the_account() {
    let home = Home::staffed();
    let mut command = home.pki(&["revoke", "alice", "--yes"]);
    finish(command.env("SUDO_USER", "carol").env("SUDO_UID", "4711"), b"").ok();
    let mut command = home.pki(&["revoke", "bob", "--yes"]);
    finish(
        command
            .env("SUDO_USER", "x, login of root)\n")
            .env("DOAS_USER", "dora"),
        b"",
    )
    .ok();
    let said = home.run(&["audit"]);
    let line = |address: &str| {
        let mut lines = said.stdout.lines();
        lines
            .find(|line| line.contains("revoked") && line.contains(address))
            .unwrap()
    };
    assert!(line("alice/phone").contains("sudo by carol"), "{said}");
    assert!(
        line("bob/phone").contains("doas by dora") && !said.stdout.contains("login of root)"),
        "{said}"
    );
}

#[test]
fn of_somebody_who_has_left_nothing_is_remembered_for_the_next_of_that_name() {
    let home = Home::bare();
    let old = [
        "--name",
        "Anna Old",
        "--email",
        "anna.old@acme.example",
        "--for",
        "android",
    ];
    home.issue("anna/phone", &old);
    home.issue("anna/laptop", &[]);
    home.run(&["offboard", "anna", "--confirm", "anna"]);
    list(&home, "anna,phone,Anna Novak,,\n", &["--reissue"]).ok();
    // A device that only the other had.
    list(&home, "anna,laptop,,,\n", &[]);
    home.run(&["issue", "anna/laptop", "--bundle-passphrase-out", "secret"]);
    for device in ["anna/phone", "anna/laptop"] {
        let said = shown(&home, device);
        assert_eq!(said["name"], "Anna Novak", "{said}");
        assert!(!said.to_string().contains("anna.old"), "{said}");
    }
}

#[test]
fn a_device_is_not_offboarded_and_both_that_may_be_meant_are_told() {
    let home = Home::new();
    let said = finish(&mut home.pki(&["offboard", "bob/phone"]), b"").exits(2);
    assert!(
        said.stderr
            .contains("`pki offboard bob` for the person, `pki revoke bob/phone` for the device"),
        "{said}"
    );
}

#[test]
fn a_slip_of_the_finger_is_answered_by_who_is_meant() {
    let home = Home::new();
    for device in ["anna/phone", "bob/phone"] {
        home.issue(device, &[]);
    }
    for (slip, meant) in [
        ("anna/phome", "anna/phone"),
        ("anan", "anna"),
        ("bobb", "bob"),
        ("bbo/phone", "bob"),
        ("bob.phone", "bob/phone"),
    ] {
        for arguments in [
            &["revoke", slip, "--yes"][..],
            &["renew", slip, "--out", "b"],
            &["show", slip],
        ] {
            let said = finish(&mut home.pki(arguments), b"").exits(1);
            assert!(said.stderr.contains(&format!("is {meant} meant?")), "{said}");
            assert!(!said.stderr.contains("pki issue"), "{said}");
        }
    }
    for (name, hint) in [
        ("anan", "→ is anna meant?"),
        ("anna/phome", "→ is anna/phone meant?"),
        ("revoked", "→ `pki list --status revoked`"),
    ] {
        let said = home.run(&["list", name]);
        assert!(said.stderr.contains(hint), "{said}");
    }
    let said = finish(&mut home.pki(&["offboard", "anan", "--yes"]), b"").exits(1);
    assert!(said.stderr.contains("is anna meant?"), "{said}");
    let said = finish(&mut home.pki(&["revoke", "zeb/phone", "--yes"]), b"").exits(1);
    assert!(!said.stderr.contains("meant?"), "{said}");
}

/// `--reissue` is about what whoever gives it can know: who is locked out while she types a passphrase stays
/// so.
#[test]
fn who_is_locked_out_while_a_passphrase_is_typed_is_not_let_in_again() {
    let home = Home::staffed();
    home.run(&["offboard", "alice", "--confirm", "alice"]);
    let fifo = home.path("typed");
    home.foreign("mkfifo", &["-m", "600", "typed"]).ok();
    home.write_private(
        "people.csv",
        "employee,device\nalice,phone\nbob,phone\nbob,laptop\n",
    );
    let mut arguments = vec!["issue", "--from", "people.csv", "--reissue", "--out", "out"];
    arguments.extend([
        "--bundle-passphrase-out",
        "list",
        "--passphrase-file",
        "typed",
        "--json",
    ]);
    let mut command = home.pki(&arguments);
    command.stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    // It is opened once the list was read.
    let mut typed = std::fs::File::options().write(true).open(fifo).unwrap();
    home.run(&["offboard", "bob", "--confirm", "bob"]);
    std::io::Write::write_all(&mut typed, ISSUING_PASSPHRASE.as_bytes()).unwrap();
    drop(typed);
    let output = child.wait_with_output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let issued: Vec<&str> = told["issued"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["address"].as_str().unwrap())
        .collect();
    assert_eq!(
        (output.status.code(), issued),
        (Some(5), vec!["alice/phone"]),
        "{told}"
    );
    assert_eq!(told["failed"].as_array().unwrap().len(), 2, "{told}");
    assert_eq!(shown(&home, "bob/phone")["status"], "revoked");
    // Who asks again knows it.
    list(&home, "bob,phone,,,\n", &["--reissue"]).ok();
    assert_eq!(shown(&home, "bob/phone")["status"], "valid");
}

#[test]
fn a_dry_run_of_a_list_tells_what_would_be_left_out_of_certificates() {
    let home = Home::new();
    let row = "laura,phone,Laura Palmer,laura@acme.exmaple,\n";
    for more in [&["--dry-run"][..], &[]] {
        let said = list(&home, row, more).ok();
        let left_out = "laura/phone: laura@acme.exmaple is outside the domains";
        assert!(said.stderr.contains(left_out), "{said}");
    }
}
