//! More places and more bundles than a process may have open files.

use std::process::Command;

use crate::support::{Finished, Home, finish, need, program};

/// A command of `pki` that may have so many files open.
fn with_open_files(most: usize, command: &Command) -> Finished {
    let mut limited = program("sh");
    limited.args(["-c", &format!("ulimit -n {most} && exec \"$@\""), "sh"]);
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        limited.env(name, value.unwrap_or_default());
    }
    limited.current_dir(command.get_current_dir().unwrap());
    finish(&mut limited, b"")
}

#[test]
fn every_place_that_can_be_written_is_however_many_there_are() {
    let home = Home::staffed();
    let place = |number: usize, half: &str| home.path(format!("web/{number}/{half}"));
    for number in 0..130 {
        std::fs::create_dir_all(home.path(format!("web/{number}"))).unwrap();
        home.configure_table(&format!(
            "[[publish]]\npublic = \"{}\"\nserver = \"{}\"\n",
            place(number, "public").display(),
            place(number, "server").display()
        ));
    }
    // Two of them cannot be written, wherever they stand in the list.
    for broken in [3, 77] {
        std::fs::remove_dir(home.path(format!("web/{broken}"))).unwrap();
        std::fs::write(home.path(format!("web/{broken}")), "").unwrap();
    }
    let said = with_open_files(64, &home.pki(&["revoke", "alice", "--yes", "--json"])).exits(5);
    assert_eq!(said.stderr.matches("was not published to").count(), 4, "{said}");
    for half in ["public", "server"] {
        let own = std::fs::read(home.home().join(half).join("manifest.jws")).unwrap();
        for number in (0..130).filter(|number| ![3, 77].contains(number)) {
            let there = std::fs::read(place(number, half).join("manifest.jws")).unwrap();
            assert_eq!(there, own, "{number} {half}");
        }
    }
    let doctor = with_open_files(64, &home.pki(&["doctor", "--json"])).exits(3);
    assert_eq!(doctor.stdout.matches("publication-behind").count(), 4, "{doctor}");
}

#[test]
fn a_long_list_is_issued_with_few_open_files() {
    if !need(&["sh"]) {
        return;
    }
    let home = Home::new();
    let people: String = (0..300).map(|number| format!("e{number},phone\n")).collect();
    home.write_private("people.csv", &format!("employee,device\n{people}"));
    let arguments = [
        "issue",
        "--from",
        "people.csv",
        "--out",
        "out",
        "--p12",
        "modern",
        "--bundle-passphrase-out",
        "secrets",
        "--json",
    ];
    with_open_files(64, &home.pki(&arguments)).ok();
    assert_eq!(std::fs::read_dir(home.path("out")).unwrap().count(), 300);
}
