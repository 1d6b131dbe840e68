//! Lists of many devices: what changes is written beside them, and whoever reads all of it knows who is
//! accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Finished, Home, finish};

const LONG: [&str; 2] = ["allowed.map", "devices.json"];
const SHORT: [&str; 2] = ["allowed-recent.map", "devices-recent.json"];

/// Whom a servers' half accepts, by all of its lists: each serial number with its device and status.
fn accepted(server: &Path) -> BTreeMap<String, (String, String)> {
    let read = |name: &str| std::fs::read_to_string(server.join(name)).unwrap_or_default();
    let revoked: BTreeSet<String> = serials(&read("revoked.map")).collect();
    let mut accepted = BTreeMap::new();
    for name in ["devices.json", "devices-recent.json"] {
        let list: Value = serde_json::from_str(&read(name)).unwrap_or_default();
        for device in list["devices"].as_array().unwrap_or(&Vec::new()) {
            let text = |key: &str| device[key].as_str().unwrap().to_owned();
            accepted.insert(text("serial"), (text("address"), text("status")));
        }
    }
    accepted.retain(|serial, _| !revoked.contains(serial));
    // The lists for nginx say the same, and no line of them stands there twice.
    let allowed = read("allowed.map") + &read("allowed-recent.map");
    let mut named: Vec<String> = serials(&allowed).collect();
    named.sort_unstable();
    assert!(
        named.windows(2).all(|pair| pair[0] != pair[1]),
        "a line stands twice"
    );
    named.retain(|serial| !revoked.contains(serial));
    assert_eq!(named, accepted.keys().cloned().collect::<Vec<_>>());
    accepted
}

fn serials(map: &str) -> impl Iterator<Item = String> + '_ {
    map.lines().map(|line| line.split(' ').next().unwrap().to_owned())
}

/// Whom the ledger says that servers are to accept.
fn expected(home: &Home) -> BTreeMap<String, (String, String)> {
    let list = home.run(&["list", "--json"]).json();
    let devices = list["devices"].as_array().unwrap().iter();
    devices
        .map(|device| {
            let text = |key: &str| device[key].as_str().unwrap().to_owned();
            (text("serial"), (text("address"), text("status")))
        })
        .filter(|(_, (_, status))| ["valid", "superseded"].contains(&status.as_str()))
        .collect()
}

/// What tells whether a file was written anew.
fn inodes(server: &Path, names: [&str; 2]) -> [u64; 2] {
    names.map(|name| std::fs::metadata(server.join(name)).unwrap().ino())
}

/// A home with long lists that publishes to a place of its own.
fn crowded() -> (Home, PathBuf) {
    let home = Home::crowded();
    let web = home.path("web");
    home.configure_table(&format!(
        "[[publish]]\npublic = '{0}/public'\nserver = '{0}/server'\n",
        web.display()
    ));
    home.run(&["publish"]);
    (home, web.join("server"))
}

fn fetch(home: &Home, out: &str) -> Finished {
    let source = home.path("web/server").display().to_string();
    let (root, out) = (home.home().join("root/root.crt"), home.path(out));
    let arguments = [
        "fetch",
        &source,
        "--root",
        root.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    finish(&mut home.pki(&arguments), b"")
}

#[test]
fn a_change_is_written_beside_long_lists_and_publish_writes_them_whole() {
    let (home, server) = crowded();
    assert_eq!(accepted(&server), expected(&home));
    assert_eq!(accepted(&home.server("")), expected(&home));
    let long = inodes(&server, LONG);
    for change in [
        &["issue", "carol"][..],
        &["revoke", "bob", "--yes"],
        &["renew", "alice"],
        &["revoke", "carol", "--yes"],
        &["revoke", "fleet0000007", "--yes"],
        &["issue", "dora"],
        &["offboard", "fleet0000008", "--confirm", "fleet0000008"],
        &["renew", "dora"],
    ] {
        match change {
            ["issue", address, ..] => drop(home.issue(address, &[])),
            ["renew", address, ..] => drop(home.renew(address, &[])),
            other => drop(home.run(other)),
        }
        fetch(&home, "fetched").ok();
        let expected = expected(&home);
        for place in [&server, &home.server(""), &home.path("fetched")] {
            assert_eq!(accepted(place), expected, "{change:?}");
        }
        assert_eq!(inodes(&server, LONG), long, "{change:?}");
    }
    let doctor = finish(&mut home.pki(&["doctor", "--json"]), b"").exits(3).json();
    assert!(!doctor.to_string().contains("publication-behind"), "{doctor}");
    home.run(&["publish"]);
    assert!(inodes(&server, LONG).iter().all(|inode| !long.contains(inode)));
    let empty = SHORT.map(|name| std::fs::read_to_string(server.join(name)).unwrap());
    assert_eq!(empty, ["", "{\"version\":1,\"devices\":[\n]}\n"]);
    // The long ones alone say it all again.
    for name in SHORT {
        std::fs::remove_file(server.join(name)).unwrap();
    }
    assert_eq!(accepted(&server), expected(&home));
}

#[test]
fn what_is_missing_or_damaged_of_long_lists_is_written_whole_with_the_next_change() {
    let (home, server) = crowded();
    let own = home.server("");
    for (number, (place, name)) in [
        (&server, LONG[0]),
        (&server, LONG[1]),
        (&own, LONG[1]),
        (&own, SHORT[0]),
    ]
    .into_iter()
    .enumerate()
    {
        for damage in ["gone", "other", "mode"] {
            let file = place.join(name);
            let mut octets = std::fs::read(&file).unwrap();
            if damage == "gone" {
                std::fs::remove_file(&file).unwrap();
            } else if damage == "mode" {
                std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
            } else {
                // As long as it was, and one octet is another.
                let middle = octets.len() / 2;
                octets.push(b'x');
                octets.remove(middle);
                std::fs::write(&file, octets).unwrap();
            }
            home.issue(&format!("dora{number}{damage}"), &[]);
            home.run(&["revoke", &format!("fleet000000{number}"), "--yes"]);
            assert_eq!(
                std::fs::metadata(&file).unwrap().mode() & 0o777,
                0o640,
                "{name} {damage}"
            );
            let expected = expected(&home);
            assert_eq!(accepted(&server), expected, "{name} {damage}");
            assert_eq!(accepted(&own), expected, "{name} {damage}");
            fetch(&home, "fetched").ok();
        }
    }
}

#[test]
fn an_index_that_was_made_anew_knows_no_long_list_and_writes_them_whole() {
    let (home, server) = crowded();
    home.issue("carol", &[]);
    let long = inodes(&server, LONG);
    std::fs::remove_dir_all(home.home().join("index")).unwrap();
    home.run(&["revoke", "bob", "--yes"]);
    assert_eq!(accepted(&server), expected(&home));
    assert_ne!(inodes(&server, LONG), long);
}

/// Whoever reads a place has been told of short lists, and would not start without them, or by old ones.
#[test]
fn short_lists_stay_where_there_were_any_though_the_home_has_forgotten_them_and_devices_are_fewer() {
    let (home, server) = crowded();
    home.issue("carol", &[]);
    std::fs::remove_dir_all(home.server("")).unwrap();
    std::fs::remove_dir_all(home.home().join("index")).unwrap();
    for address in ["carol", "alice", "bob", "fleet0000001"] {
        home.run(&["revoke", address, "--yes"]);
        let expected = expected(&home);
        for place in [&server, &home.server("")] {
            assert!(SHORT.iter().all(|name| place.join(name).exists()), "{address}");
            assert_eq!(accepted(place), expected, "{address}");
        }
    }
    home.run(&["publish"]);
    assert!(SHORT.iter().all(|name| server.join(name).exists()));
    assert_eq!(accepted(&server), expected(&home));
}

/// As a timer without the passphrase does.
#[test]
fn without_the_key_a_place_that_was_away_gets_what_was_signed_before() {
    let (home, server) = crowded();
    let (web, away) = (home.path("web"), home.path("away"));
    std::fs::rename(&web, &away).unwrap();
    std::fs::write(&web, "").unwrap();
    finish(&mut home.pki(&["revoke", "bob", "--yes"]), b"").exits(5);
    std::fs::remove_file(&web).unwrap();
    std::fs::rename(&away, &web).unwrap();
    let bob = home.bob().serial;
    let revoked = || {
        std::fs::read_to_string(server.join("revoked.map"))
            .unwrap()
            .contains(&bob)
    };
    assert!(!revoked());
    let mut timer = home.pki(&["publish", "--no-input"]);
    timer.env_remove("PKI_PASSPHRASE_FILE");
    finish(&mut timer, b"").exits(4);
    assert!(revoked());
    assert_eq!(accepted(&server), expected(&home));
}

#[test]
fn up_to_ten_thousand_certificates_lists_are_written_whole_and_nothing_is_beside_them() {
    let home = Home::staffed();
    home.run(&["publish"]);
    let server = home.server("");
    home.run(&["revoke", "bob", "--yes"]);
    assert_eq!(accepted(&server), expected(&home));
    assert!(SHORT.iter().all(|name| !server.join(name).exists()));
    let manifest = std::fs::read_to_string(server.join("manifest.json")).unwrap();
    assert!(!manifest.contains("recent"), "{manifest}");
}
