//! Invites for a list of people: all of them or none, a sheet each, and the six digits apart from both.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::{Invite, Serving};
use crate::support::{Finished, HOST, Home, finish};

fn ground() -> Home {
    let home = Home::with_server();
    home.configure("host", &format!("\"{HOST}\""));
    home
}

/// The list, and what the command says that invites who is in it.
fn invite(home: &Home, list: &str, more: &[&str]) -> Finished {
    home.write_private("people.csv", list);
    let all = [&["invite", "create", "--from", "people.csv"], more].concat();
    finish(&mut home.pki(&all), b"")
}

fn open(home: &Home) -> Vec<String> {
    let said = home.run(&["invite", "list", "--open", "--json"]).json();
    let invites = said["invites"].as_array().unwrap();
    let address = |one: &Value| one["address"].as_str().unwrap().to_owned();
    invites.iter().map(address).collect()
}

fn is_private(file: &Path) -> bool {
    file.metadata().unwrap().permissions().mode() & 0o777 == 0o600
}

#[test]
fn everybody_on_a_list_gets_a_sheet_and_enrolls_by_it_with_the_digits_that_lie_apart() {
    let Some(serving) = Serving::start() else { return };
    let home = &serving.home;
    let list =
        "employee,device,name,for,days\nalice,phone,Alice Doe,ios,30\nbob,laptop,,windows,\ncarol,,,,\n";
    let places = ["--out", "sheets", "--code", "--code-out", "codes.csv", "--json"];
    let said = invite(home, list, &places).ok();
    let told = said.json();
    let invites: Vec<Invite> = told["invites"]
        .as_array()
        .unwrap()
        .iter()
        .cloned()
        .map(Invite)
        .collect();
    let devices: Vec<&str> = invites.iter().map(|one| one.word("address")).collect();
    assert_eq!(devices, ["alice/phone", "bob/laptop", "carol/phone"]);
    for one in &invites {
        assert!(
            one.word("link")
                .contains(&format!("/i/{}#{}.", one.word("id"), one.word("secret")))
        );
        let files: Vec<&str> = one.0["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f.as_str().unwrap())
            .collect();
        let stem = format!("sheets/{}.invite", one.word("address").replace('/', "-"));
        assert_eq!(
            files,
            ["html", "png", "svg"].map(|ending| format!("{stem}.{ending}"))
        );
        assert!(files.iter().all(|file| is_private(&home.path(file))));
        let sheet = std::fs::read_to_string(home.path(files[0])).unwrap();
        assert!(sheet.contains(one.word("secret")) && sheet.contains("six digits"));
    }
    let sheet = std::fs::read_to_string(home.path("sheets/alice-phone.invite.html")).unwrap();
    assert!(sheet.contains("Alice Doe"));
    // The digits are in their file, and nowhere else.
    assert_eq!(told["code_file"], "codes.csv");
    assert!(is_private(&home.path("codes.csv")));
    let codes = std::fs::read_to_string(home.path("codes.csv")).unwrap();
    let codes: Vec<(&str, &str)> = codes.lines().map(|line| line.split_once(',').unwrap()).collect();
    assert_eq!(codes[0], ("address", "code"));
    assert_eq!(codes[1..].iter().map(|code| code.0).collect::<Vec<_>>(), devices);
    for (_, digits) in &codes[1..] {
        assert!(digits.len() == 6 && !said.stdout.contains(&format!("\"{digits}\"")));
    }
    // What the row says is what the certificate says.
    let csr = serving.request("phone");
    let body = json!({ "secret": invites[0].word("secret"), "csr": csr });
    assert_eq!(serving.redeem(invites[0].word("id"), &body).0, 403);
    let body = json!({ "secret": invites[0].word("secret"), "csr": csr, "code": codes[1].1 });
    assert_eq!(serving.redeem(invites[0].word("id"), &body).0, 200);
    let has = home.run(&["show", "alice", "--json"]).json().to_string();
    assert!(has.contains("Alice Doe") && has.contains("\"ios\""), "{has}");
}

#[test]
fn a_list_with_somebody_who_cannot_be_invited_invites_nobody_and_names_each_of_them() {
    let home = ground();
    home.issue("alice", &[]);
    home.issue("bob", &[]);
    home.run(&["offboard", "bob", "--confirm", "bob"]);
    let before = std::fs::read(home.home().join("ledger.jsonl")).unwrap();
    let list = "employee,device,days\nalice,phone,\nbob,phone,\ncarol,phone,9999\ndave,phone,\n";
    let places = ["--out", "sheets", "--code", "--code-out", "codes.csv"];
    let refused = invite(&home, list, &places).exits(1);
    for named in [
        "nobody was invited; 3 rows",
        "line 2: alice/phone",
        "line 3: bob/phone",
        "line 4: carol/phone",
    ] {
        assert!(refused.stderr.contains(named), "{refused}");
    }
    assert!(!refused.stderr.contains("dave"), "{refused}");
    // A row that cannot be read, and an invite that would be open for too long, likewise.
    let refused = invite(&home, "employee,device\ndave,phone\nDave,phone\n", &places).exits(1);
    assert!(
        refused.stderr.contains("line 3") && refused.stderr.contains("nobody was invited"),
        "{refused}"
    );
    let refused = invite(
        &home,
        "employee,device\ndave,phone\n",
        &[&places[..], &["--expires", "31d"]].concat(),
    );
    assert!(refused.exits(1).stderr.contains("30 days at most"));
    assert_eq!(std::fs::read(home.home().join("ledger.jsonl")).unwrap(), before);
    assert!(!home.path("sheets").exists() && !home.path("codes.csv").exists());
    // A device that has a certificate is invited where that is meant.
    let list = "employee,device\nalice,phone\ndave,phone\n";
    invite(&home, list, &["--out", "sheets"]).exits(1);
    let said = invite(&home, list, &["--out", "sheets", "--replace"]).ok();
    assert!(said.stdout.contains("sheets/alice-phone.invite.html"), "{said}");
    assert_eq!(
        BTreeSet::from_iter(open(&home)),
        ["alice/phone", "dave/phone"].map(String::from).into()
    );
}

#[test]
fn a_list_needs_places_for_its_secrets() {
    let home = ground();
    let list = "employee,device\nalice,phone\n";
    let refused = invite(&home, list, &[]).exits(2);
    assert!(
        refused.stderr.contains("--out DIR") && refused.stderr.contains("--json"),
        "{refused}"
    );
    // The digits never lie in the document that has the links.
    let refused = invite(&home, list, &["--json", "--code"]).exits(2);
    assert!(refused.stderr.contains("--code-out"), "{refused}");
    home.write_private("codes.csv", "alice/phone,123456\n");
    let taken = ["--json", "--code", "--code-out", "codes.csv"];
    assert!(invite(&home, list, &taken).exits(1).stderr.contains("codes.csv"));
    for one in [["alice", "--json"], ["--name", "Alice"]] {
        invite(&home, list, &one).exits(2);
    }
    assert!(open(&home).is_empty());
}

#[test]
fn a_list_is_tried_without_inviting_anybody() {
    let home = ground();
    let list = "employee,device\nalice,phone\nbob,phone\n";
    let said = invite(&home, list, &["--out", "sheets", "--dry-run"]).ok();
    assert!(
        said.stderr.contains("would invite 2 devices") && said.stderr.contains("invite bob/phone"),
        "{said}"
    );
    let said = invite(&home, list, &["--json", "--dry-run"]).ok();
    assert_eq!(
        said.json()["would"],
        json!(["invite alice/phone", "invite bob/phone"])
    );
    assert!(open(&home).is_empty() && !home.path("sheets").exists());
}

#[test]
fn a_list_that_is_invited_again_cancels_what_is_open() {
    let home = ground();
    let list = "employee,device\nalice,phone\nbob,phone\n";
    let first = invite(&home, list, &["--json"]).ok().json();
    let dry = invite(&home, list, &["--json", "--dry-run"]).ok().json();
    let id = |at: usize| first["invites"][at]["id"].as_str().unwrap();
    let cancel = [0, 1].map(|at| format!("cancel the invite {}", id(at)));
    assert_eq!(
        dry["would"],
        json!(["invite alice/phone", cancel[0], "invite bob/phone", cancel[1]])
    );
    let said = invite(&home, list, &["--json"]).ok();
    for one in first["invites"].as_array().unwrap() {
        let id = one["id"].as_str().unwrap();
        assert!(
            said.stderr
                .contains(&format!("the invite {id} is cancelled with it")),
            "{said}"
        );
    }
    assert_eq!(open(&home).len(), 2);
}

/// The files of both devices would have one name.
#[test]
fn no_sheet_takes_the_place_of_another_ones() {
    let home = ground();
    let said = invite(
        &home,
        "employee,device\na-b,c\na,b-c\n",
        &["--out", "sheets", "--json"],
    )
    .ok()
    .json();
    for one in said["invites"].as_array().unwrap() {
        let sheet = std::fs::read_to_string(home.path(one["files"][0].as_str().unwrap())).unwrap();
        assert!(sheet.contains(one["secret"].as_str().unwrap()), "{one}");
    }
}

#[test]
fn a_list_whose_sheets_cannot_be_written_invites_nobody() {
    let home = ground();
    std::fs::create_dir_all(home.path("sheets/bob-phone.invite.png/in-the-way")).unwrap();
    let refused = invite(
        &home,
        "employee,device\nalice,phone\nbob,phone\n",
        &["--out", "sheets"],
    );
    let refused = refused.exits(1);
    assert!(refused.stderr.contains("the invites are cancelled"), "{refused}");
    assert!(open(&home).is_empty());
}
