//! What an operator does with invites, and what holds of them beside the service.

use serde_json::{Value, json};

use super::{Invite, Serving, TOOLS, kind_of};
use crate::support::{Finished, HOST, Home, finish, free_port, need};

#[test]
fn what_the_operator_does_beside_the_service_holds_at_once() {
    let Some(serving) = Serving::start() else { return };
    let invites = ["alice", "bob", "carol"].map(|name| serving.invite(&[name]));
    let csr = |name: &str| serving.request(name);
    // She leaves before she has used it.
    serving.home.run(&["offboard", "alice", "--confirm", "alice"]);
    let body = json!({ "secret": invites[0].word("secret"), "csr": csr("alice") });
    assert_eq!(serving.redeem(invites[0].word("id"), &body).0, 410);
    // Somebody issued her phone a bundle meanwhile.
    serving.home.issue("bob", &[]);
    let body = json!({ "secret": invites[1].word("secret"), "csr": csr("bob") });
    let (status, told) = serving.redeem(invites[1].word("id"), &body);
    assert_eq!(
        (status, kind_of(&told).as_str()),
        (409, "already-valid"),
        "{told}"
    );
    // What was enrolled is revoked as everything is, and not handed out again.
    let body = json!({ "secret": invites[2].word("secret"), "csr": csr("carol") });
    assert_eq!(serving.redeem(invites[2].word("id"), &body).0, 200);
    serving.home.run(&["revoke", "carol", "--yes"]);
    let (status, told) = serving.redeem(invites[2].word("id"), &body);
    assert_eq!((status, kind_of(&told).as_str()), (410, "revoked"), "{told}");
}

#[test]
fn a_new_phone_takes_the_place_of_the_old_one_in_one_step() {
    let Some(serving) = Serving::start() else { return };
    serving.home.issue("alice", &[]);
    let old = serving.home.serial_of("alice/phone");
    let mut create = serving.home.pki(&["invite", "create", "alice", "--json"]);
    let refused = finish(&mut create, b"").exits(1);
    assert!(refused.stderr.contains("already-valid"), "{refused}");
    let invite = serving.invite(&["alice", "--replace"]);
    let accepted = || {
        let said: Finished = serving.home.run(&["list", "alice", "--json"]);
        let devices = said.json()["devices"].as_array().unwrap().clone();
        let valid = devices.iter().filter(|one| one["status"] == "valid");
        valid
            .map(|one| one["serial"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(accepted(), std::slice::from_ref(&old));
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("new") });
    assert_eq!(serving.redeem(invite.word("id"), &body).0, 200);
    let now = accepted();
    assert!(now.len() == 1 && now[0] != old, "{now:?}");
    // In one batch: no kill leaves her with both, or with none.
    let ledger = serving.ledger();
    let revoked = ledger
        .lines()
        .position(|line| line.contains("\"event\":\"revoked\""))
        .unwrap();
    let lines: Vec<&str> = ledger.lines().collect();
    assert!(lines[revoked + 1].contains("invite_redeemed") && lines[revoked + 2].contains("\"issued\""));
}

#[test]
fn a_sheet_that_lies_about_takes_away_nothing_that_was_issued_since() {
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    home.issue("carol", &[]);
    let invites = ["alice", "bob", "carol"].map(|name| serving.invite(&[name, "--replace"]));
    let ids = invites.each_ref().map(|invite| invite.word("id"));
    // What is issued by an operator ends it, whether by name or by a list.
    let said = home.run(&["issue", "alice", "--dry-run"]);
    let would = format!("would cancel the invite {}", ids[0]);
    assert!(said.stderr.contains(&would), "{said}");
    home.issue("alice", &[]);
    let list = home.write_private("people.csv", "employee,device\nbob,phone\n");
    let list = [
        "issue",
        "--from",
        list.to_str().unwrap(),
        "--bundle-passphrase-out",
        "words",
    ];
    let would = home.run(&[&list[..], &["--dry-run", "--json"]].concat()).json()["would"].clone();
    let cancel = format!("cancel the invite {}", ids[1]);
    assert_eq!(would, json!(["issue bob/phone", cancel]));
    let said = home.run(&list);
    let told = format!("the invite {} is cancelled with it", ids[1]);
    assert!(said.stderr.contains(&told), "{said}");
    // A certificate that ends before the new phone has come is renewed, and the phone may come.
    home.renew("carol", &[]);
    let redeem = |invite: &Invite| {
        let body = json!({ "secret": invite.word("secret"), "csr": serving.request(invite.word("id")) });
        serving.redeem(invite.word("id"), &body).0
    };
    assert_eq!(invites.each_ref().map(redeem), [410, 410, 200]);
    for name in ["alice", "bob"] {
        let said = home.run(&["list", name, "--json"]).json();
        assert_eq!(said["devices"][0]["status"], "valid", "{name}: {said}");
    }
}

#[test]
fn what_a_run_that_was_killed_has_left_is_in_nobodys_way_and_no_sheet_takes_anothers_place() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}\""));
    let create = |arguments: &[&str]| {
        let all = [&["invite", "create", "--out", "sheets"], arguments].concat();
        home.run(&all)
            .stdout
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    create(&["alice"]);
    let left = "sheets/.bob-phone.invite.html.0123456789ab.tmp";
    home.write_private(left, "a secret");
    home.write_private("digits", "");
    create(&["bob", "--code", "--code-out", "digits"]);
    assert!(!home.path(left).exists());
    assert_eq!(std::fs::read(home.path("digits")).unwrap().len(), 7);
    // The digits of an invite before are not written over.
    let again = [
        "invite",
        "create",
        "bob",
        "--out",
        "sheets",
        "--code",
        "--code-out",
        "digits",
    ];
    finish(&mut home.pki(&again), b"").exits(1);
    // Two devices whose files would be called the same, one after the other; and one of them anew.
    let first = create(&["a-b/c"]);
    let second = create(&["a/b-c"]);
    assert_ne!(first[0], second[0]);
    assert_eq!(create(&["a-b/c"])[0], first[0]);
    let text = std::fs::read_to_string(home.path(&second[0])).unwrap();
    assert!(text.contains("<strong>a&#x2f;b-c</strong>"), "{text}");
}

#[test]
fn a_device_that_has_nothing_but_an_invite_is_taken_back_by_its_name() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}\""));
    // What somebody has besides is not touched.
    home.issue("liz", &[]);
    for whom in ["jon", "kim/laptop", "liz/tablet"] {
        home.run(&["invite", "create", whom, "--json"]);
        let said = home.run(&["revoke", whom, "--yes"]);
        assert!(said.stderr.contains("is cancelled with it"), "{said}");
        let open = home.run(&["invite", "list", "--open", "--json"]).json();
        assert_eq!(open["invites"], json!([]), "{whom}");
        finish(&mut home.pki(&["revoke", whom, "--yes"]), b"").exits(1);
    }
    assert_eq!(
        home.run(&["list", "liz", "--json"]).json()["devices"][0]["status"],
        "valid"
    );
    home.run(&["offboard", "liz", "--confirm", "liz"]);
    let back = finish(&mut home.pki(&["invite", "create", "liz", "--json"]), b"").exits(1);
    assert!(back.text().contains("pki issue liz/phone --reissue"), "{back}");
    // Whoever has a certificate is told how a new phone gets one in its place.
    home.issue("alice", &[]);
    let said = finish(&mut home.pki(&["invite", "create", "alice", "--json"]), b"").exits(1);
    assert!(
        said.text().contains("pki invite create alice/phone --replace"),
        "{said}"
    );
}

#[test]
fn an_invite_before_is_cancelled_by_the_next_for_the_same_device() {
    let Some(serving) = Serving::start() else { return };
    let lost = serving.invite(&["alice"]);
    let next = serving.invite(&["alice"]);
    let csr = serving.request("phone");
    let body = |invite: &Invite| json!({ "secret": invite.word("secret"), "csr": csr });
    assert_eq!(serving.redeem(lost.word("id"), &body(&lost)).0, 410);
    assert_eq!(serving.redeem(next.word("id"), &body(&next)).0, 200);
}

#[test]
fn a_bundle_that_nobody_has_fetched_goes_with_its_invite_and_is_named() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}\""));
    let handout = |id: &str| home.home().join(format!("handout/{id}.p12"));
    let ends: [&[&str]; 4] = [
        &[
            "invite",
            "create",
            "alice",
            "--server-key",
            "--out",
            "first",
            "--bundle-passphrase-out",
            "word",
        ],
        &["issue", "alice", "--bundle-passphrase-out", "words"],
        &["revoke", "alice", "--yes"],
        &["invite", "create", "alice", "--replace", "--out", "sheets"],
    ];
    for command in ends {
        let made = home.run(&["invite", "create", "alice", "--server-key", "--replace", "--json"]);
        let (id, serial) = (made.json()["id"].clone(), made.json()["serial"].clone());
        let (id, serial) = (id.as_str().unwrap(), serial.as_str().unwrap());
        assert!(handout(id).exists());
        let would = format!("cancel the invite {id}, and revoke {serial}, which nobody has fetched");
        let said = home.run(&[command, &["--dry-run"]].concat());
        assert!(said.stderr.contains(&would), "{would}: {said}");
        let said = home.run(command);
        let told = format!(
            "the invite {id} is cancelled with it, and {serial}, which nobody had fetched, is revoked"
        );
        assert!(said.stderr.contains(&told), "{told}: {said}");
        assert!(!handout(id).exists(), "{command:?}");
        let revoked = home.run(&["show", serial, "--json"]).json();
        assert_eq!(revoked["status"], "revoked", "{command:?}: {revoked}");
    }
}

#[test]
fn a_dry_run_names_all_that_would_change() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}\""));
    let made = home.run(&[
        "invite",
        "create",
        "alice",
        "--code",
        "--approve",
        "--replace",
        "--json",
    ]);
    let before = made.json()["id"].as_str().unwrap().to_owned();
    let cancel = format!("cancel the invite {before}");
    let would = |command: &[&str]| {
        let said = home.run(&[command, &["--dry-run", "--json"]].concat());
        serde_json::from_value::<Vec<String>>(said.json()["would"].clone()).unwrap()
    };
    let create = [
        "invite",
        "create",
        "alice",
        "--server-key",
        "--out",
        "sheets",
        "--bundle-passphrase-out",
        "words",
    ];
    assert_eq!(
        would(&create),
        [
            "invite alice/phone",
            "make its key here, and issue its certificate now",
            &cancel,
            "write a sheet and the code as pictures into sheets",
            "write words",
        ]
    );
    for command in [&["revoke", "alice"][..], &["offboard", "alice"]] {
        let would = would(command);
        assert!(
            would[0].starts_with("revoke no certificate of alice"),
            "{would:?}"
        );
        assert_eq!(would[1..], [cancel.as_str()]);
    }
    // Who looks at it later sees on what terms it was made.
    let shown = home.run(&["invite", "show", &before, "--json"]).json();
    for term in ["asks_for_code", "needs_approval", "replaces"] {
        assert_eq!(shown[term], json!(true), "{shown}");
    }
    let said = home.run(&["invite", "show", &before]);
    assert!(said.stdout.contains("asks for six digits"), "{said}");
    let said = home.run(&["invite", "cancel", &before]);
    assert!(said.stderr.contains("destroy its sheet"), "{said}");
}

#[test]
fn an_invite_is_open_as_long_as_was_said_and_a_month_at_most() {
    if !need(&["faketime"]) {
        return;
    }
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}:{}\"", free_port()));
    let long = home.pki(&["invite", "create", "alice", "--expires", "31d", "--json"]);
    let refused = finish(&mut { long }, b"").exits(1);
    assert!(refused.stderr.contains("30 days at most"), "{refused}");
    home.run(&["invite", "create", "alice", "--expires", "30d", "--json"]);
    let state = |offset: &str| {
        let said = finish(&mut home.pki_at(offset, &["invite", "list", "--json"]), b"").ok();
        said.json()["invites"][0]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!((state("+29d"), state("+31d")), ("open".into(), "expired".into()));
}

#[test]
fn a_device_that_is_taken_back_is_brought_in_by_no_invite_that_was_open() {
    let Some(serving) = Serving::start() else { return };
    let invite = serving.invite(&["carol"]);
    serving.home.issue("carol", &[]);
    let said = serving
        .home
        .run(&["revoke", "carol", "--reason", "stolen", "--yes"]);
    assert!(said.stderr.contains("is cancelled with it"), "{said}");
    let body = json!({ "secret": invite.word("secret"), "csr": serving.request("thief") });
    assert_eq!(serving.redeem(invite.word("id"), &body).0, 410);
}

#[test]
fn an_invite_that_cannot_be_handed_over_is_none() {
    if !need(&TOOLS) {
        return;
    }
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}\""));
    let open = |home: &Home| {
        let said = home.run(&["invite", "list", "--open", "--json"]).json();
        said["invites"].as_array().unwrap().len()
    };
    // What would be done is told where there is nothing to show a code on, and that there is none.
    let said = home.run(&["invite", "create", "alice", "--dry-run"]);
    assert!(said.stderr.contains("would invite alice/phone"), "{said}");
    let nowhere = "there is no terminal to show the code on";
    assert!(said.stderr.contains(nowhere), "{said}");
    assert_eq!(open(&home), 0);
    let refused = finish(&mut home.pki(&["invite", "create", "alice"]), b"").exits(4);
    assert!(refused.stderr.contains(nowhere), "{refused}");
    // A directory that there is not yet is made; a file that cannot be is told before anything is recorded.
    let said = home.run(&["invite", "create", "alice", "--out", "new/sheets"]);
    assert_eq!(said.stdout.lines().count(), 3, "{said}");
    assert!(said.stderr.contains("the page has no certificate yet"), "{said}");
    for file in said.stdout.lines() {
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(home.path(file)).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(open(&home), 1);
    let nowhere = [
        "invite",
        "create",
        "bob",
        "--out",
        "sheets",
        "--code",
        "--code-out",
        "nowhere/digits",
    ];
    finish(&mut home.pki(&nowhere), b"").exits(1);
    assert_eq!(open(&home), 1);
    for expires in ["0s", "31d"] {
        let asked = [
            "invite",
            "create",
            "bob",
            "--json",
            "--dry-run",
            "--expires",
            expires,
        ];
        finish(&mut home.pki(&asked), b"").exits(1);
    }
    let digits = [
        "invite",
        "create",
        "bob",
        "--out",
        "sheets",
        "--code",
        "--code-out",
        "digits",
    ];
    home.run(&digits);
    let text = std::fs::read_to_string(home.path("digits")).unwrap();
    assert!(
        text.len() == 7 && text.trim_end().bytes().all(|digit| digit.is_ascii_digit()),
        "{text}"
    );
    let sheet = std::fs::read_to_string(home.path("sheets/bob-phone.invite.html")).unwrap();
    assert!(sheet.contains("six digits") && !sheet.contains(text.trim_end()));
}

#[test]
fn what_an_invite_would_be_refused_for_a_dry_run_says_too() {
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}\""));
    home.run(&["invite", "create", "alice", "--out", "sheets"]);
    home.write_private("taken", "kept\n");
    std::fs::write(home.path("file"), "").unwrap();
    let to = ["--out", "more"];
    let key = "--bundle-passphrase-out";
    let served = home.path("www").display().to_string();
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{served}/public\"\nserver = \"{served}/server\"\n"
    ));
    let refused: [&[&str]; 16] = [
        &["--code", "--code-out", "new/"],
        &["--code", "--code-out", "more"],
        &["--code", "--code-out", "more/BOB-PHONE.INVITE.HTML"],
        &["--code", "--code-out", "new", "--server-key", key, "./new"],
        &["--code", "--code-out", "more/bob-phone.invite.png"],
        &["--code", "--code-out", "home/new"],
        &["--code", "--code-out", "www/public/new"],
        &["--server-key", key, "home/new"],
        &["--server-key", key, "www/server/new"],
        &["--server-key", "--approve", key, "new"],
        &["--server-key", key, "taken"],
        &["--server-key", key, "nowhere/new"],
        &["--code", "--code-out", "taken"],
        &["--code", "--code-out", "nowhere/new"],
        &["--code", "--code-out", "file/new"],
        &["--expires", "31d"],
    ];
    for case in refused {
        let create: Vec<&str> = ["invite", "create", "bob"]
            .into_iter()
            .chain(to)
            .chain(case.iter().copied())
            .collect();
        let dry = finish(&mut home.pki(&[&create[..], &["--dry-run"]].concat()), b"");
        let real = finish(&mut home.pki(&create), b"");
        assert!([1, 2].contains(&real.code.unwrap()), "{real}");
        assert_eq!((dry.code, &dry.stderr), (real.code, &real.stderr));
        assert!(
            !home.path("more").exists() && !home.path("new").exists(),
            "{case:?}"
        );
    }
    assert_eq!(std::fs::read_to_string(home.path("taken")).unwrap(), "kept\n");
    let list = home.run(&["invite", "list", "--json"]).json();
    assert_eq!(list["invites"].as_array().unwrap().len(), 1, "{list}");
    // What the command makes is good for a dry run as well.
    let create = [
        "invite",
        "create",
        "bob",
        "--out",
        "new",
        "--code",
        "--code-out",
        "new/digits",
    ];
    home.run(&[&create[..], &["--dry-run"]].concat());
    assert!(!home.path("new").exists());
    home.run(&create);
}

#[test]
fn an_operator_compares_four_words_and_approves_that_phone_and_no_other() {
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let invite = serving.invite(&["alice", "--approve"]);
    let id = invite.word("id");
    let body = |name: &str| json!({ "secret": invite.word("secret"), "csr": serving.request(name) });
    let (first, other) = (body("first"), body("other"));
    let none = finish(
        &mut home.pki(&["invite", "approve", id, "--words", "lusab babad gutih tugad"]),
        b"",
    );
    assert!(none.exits(1).stderr.contains("no device has asked"));
    let (status, told) = serving.redeem(id, &first);
    assert_eq!((status, kind_of(&told).as_str()), (202, "waits"), "{told}");
    assert_eq!(serving.redeem(id, &first), (status, told.clone()));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(serving.redeem(id, &other).0, 409);
    let shown = home.run(&["invite", "show", id, "--json"]).json();
    let words = shown["words"].as_str().unwrap();
    assert!(words.split(' ').count() == 4, "{words}");
    // For people, and for an app in a field of its own.
    assert_eq!(told["error"]["words"], words);
    assert!(told["error"]["message"].as_str().unwrap().contains(words));
    assert_eq!(shown["state"], "asked");
    // Without somebody who compares, nothing is approved.
    for unseen in [
        &["invite", "approve", id][..],
        &["invite", "approve", id, "--yes"],
    ] {
        let refused = finish(&mut home.pki(unseen), b"");
        assert!(refused.exits(4).stderr.contains("--words"));
    }
    let others = finish(
        &mut home.pki(&["invite", "approve", id, "--words", "lusab babad gutih tugad"]),
        b"",
    );
    assert!(others.exits(1).stderr.contains("not the words of the phone"));
    assert_eq!(serving.redeem(id, &first).0, 202);
    home.run(&["invite", "approve", id, "--words", &words.to_uppercase()]);
    assert_eq!(serving.redeem(id, &other).0, 409);
    assert_eq!(serving.redeem(id, &first).0, 200);
    assert_eq!(serving.redeem(id, &first).0, 200);
    assert_eq!(serving.ledger().matches("\"event\":\"issued\"").count(), 1);
}
