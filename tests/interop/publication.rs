//! A publication as those see it who fetch it: its files, their modes, its manifests, checked by Node.js.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::SystemTime;

use crate::support::{Home, finish, need, program};

const PUBLIC: [&str; 10] = [
    "ca/bundle.pem",
    "ca/issuing.crt",
    "ca/issuing.der",
    "ca/root.crt",
    "ca/root.der",
    "crl/bundle.pem",
    "crl/issuing.crl",
    "crl/issuing.pem",
    "crl/root.crl",
    "crl/root.pem",
];
const SERVER: [&str; 3] = ["allowed.map", "devices.json", "revoked.map"];
const MANIFESTS: [&str; 2] = ["manifest.json", "manifest.jws"];

/// Verifies a publication as a careful client does: `node verify.cjs AREA DIRECTORY ROOT`. Prints the
/// manifest.
const VERIFY: &str = r#"
const fs = require("fs"), path = require("path"), crypto = require("crypto"), assert = require("assert");
const [area, directory, rootFile] = process.argv.slice(2);
const read = (name) => fs.readFileSync(path.join(directory, name));
const bytes = read("manifest.json"), manifest = JSON.parse(bytes);
assert.strictEqual(manifest.version, 1);
assert.strictEqual(manifest.area, area);
assert.ok(Number.isSafeInteger(manifest.number) && manifest.number > 0);
const present = [];
const walk = (below) => fs.readdirSync(path.join(directory, below), { withFileTypes: true }).forEach((entry) => {
  const name = path.join(below, entry.name);
  entry.isDirectory() ? walk(name) : present.push(name);
});
walk("");
const files = { ...manifest.files, ...manifest.optional };
const listed = [...Object.keys(files), "manifest.json", "manifest.jws"];
assert.deepStrictEqual(present.sort(), listed.sort());
for (const [name, { sha256, size }] of Object.entries(files)) {
  assert.strictEqual(crypto.createHash("sha256").update(read(name)).digest("hex"), sha256, name);
  assert.strictEqual(read(name).length, size, name);
}
const [header, payload, signature] = read("manifest.jws").toString().trim().split(".");
const { alg, typ, x5c } = JSON.parse(Buffer.from(header, "base64url"));
assert.strictEqual(alg, "ES256");
assert.strictEqual(typ, "pki-manifest+jws");
assert.ok(Buffer.from(payload, "base64url").equals(bytes), "the payload is the manifest, byte for byte");
const root = new crypto.X509Certificate(fs.readFileSync(rootFile));
const signer = new crypto.X509Certificate(Buffer.from(x5c[0], "base64"));
assert.ok(signer.ca && signer.checkIssued(root) && signer.verify(root.publicKey), "an authority directly below the root");
const verified = crypto.verify("sha256", Buffer.from(header + "." + payload),
  { key: signer.publicKey, dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url"));
assert.ok(verified, "the signature");
process.stdout.write(bytes);
"#;

#[test]
fn manifests_list_exactly_the_files_and_are_signed_by_the_issuing_authority() {
    if !need(&["node"]) {
        return;
    }
    let home = Home::staffed();
    for (area, files) in [("public", &PUBLIC[..]), ("server", &SERVER)] {
        let manifest = verified(&home, area, &home.home().join(area));
        let listed: Vec<&str> = manifest["files"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(listed, files, "{area}");
    }
}

#[test]
fn numbers_of_manifests_rise_with_every_change_of_their_area() {
    if !need(&["node"]) {
        return;
    }
    let home = Home::staffed();
    let numbers =
        || ["public", "server"].map(|area| verified(&home, area, &home.home().join(area))["number"].as_u64());
    let [public, server] = numbers();
    // Issuing names a new device to the servers, and changes nothing that anyone may read.
    home.issue("carol", &[]);
    let [public_after_issue, server_after_issue] = numbers();
    assert_eq!(public_after_issue, public);
    assert!(server_after_issue > server, "{server:?} {server_after_issue:?}");
    home.run(&["revoke", "alice", "--yes"]);
    let [public_after_revoke, server_after_revoke] = numbers();
    assert!(public_after_revoke > public, "{public:?} {public_after_revoke:?}");
    assert!(
        server_after_revoke > server_after_issue,
        "{server_after_issue:?} {server_after_revoke:?}"
    );
}

#[test]
fn a_publication_is_good_until_the_first_of_its_crls_ends() {
    if !need(&["node", "openssl"]) {
        return;
    }
    let home = Home::new();
    let crl = home.public("crl/issuing.crl");
    let mut arguments = vec![
        "crl",
        "-inform",
        "DER",
        "-in",
        crl.to_str().unwrap(),
        "-noout",
        "-nextupdate",
    ];
    arguments.extend(["-dateopt", "iso_8601"]);
    let end = home.foreign("openssl", &arguments).ok().stdout;
    let end = end.trim().strip_prefix("nextUpdate=").unwrap().replace(' ', "T");
    for area in ["public", "server"] {
        assert_eq!(
            verified(&home, area, &home.home().join(area))["valid_until"],
            end.as_str(),
            "{area}"
        );
    }
}

#[test]
fn a_new_crl_moves_the_end_of_both_halves() {
    if !need(&["faketime"]) {
        return;
    }
    let home = Home::staffed();
    let ends = || {
        ["public", "server"].map(|area| {
            let text = std::fs::read_to_string(home.home().join(area).join("manifest.json")).unwrap();
            let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
            manifest["valid_until"].as_str().unwrap().to_owned()
        })
    };
    let [before, _] = ends();
    // More than half of its life is over: nothing but the CRL changes, and the servers' half has none.
    finish(&mut home.pki_at("+16d", &["publish", "-q"]), b"").ok();
    let [public, server] = ends();
    assert!(public > before, "{public} after {before}");
    assert_eq!(server, public);
    let again = finish(&mut home.pki_at("+16d", &["publish", "--dry-run", "--json"]), b"").ok();
    assert_eq!(again.json()["would"], serde_json::json!([]), "{again}");
}

#[test]
fn what_anyone_may_read_is_readable_and_what_names_employees_is_not() {
    let home = Home::staffed();
    assert_modes(&home.home().join("public"), &PUBLIC, 0o755, 0o644);
    assert_modes(&home.home().join("server"), &SERVER, 0o750, 0o640);
}

#[test]
fn a_target_directory_gets_the_same_publication_with_the_same_modes() {
    if !need(&["node"]) {
        return;
    }
    let home = Home::staffed();
    let target = with_target(&home, "");
    home.run(&["publish"]);
    for (area, files, modes) in [
        ("public", &PUBLIC[..], (0o755, 0o644)),
        ("server", &SERVER, (0o750, 0o640)),
    ] {
        for file in files.iter().chain(&MANIFESTS) {
            let [ours, theirs] =
                [home.home().join(area), target.join(area)].map(|d| std::fs::read(d.join(file)).unwrap());
            assert_eq!(ours, theirs, "{area}/{file}");
        }
        assert_modes(&target.join(area), files, modes.0, modes.1);
        verified(&home, area, &target.join(area));
    }
}

#[test]
fn a_web_server_gets_through_to_the_public_half_of_a_new_target() {
    let home = Home::staffed();
    let target = with_target(&home, "");
    home.run(&["publish"]);
    let mode = std::fs::metadata(target).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o755);
}

#[test]
fn the_servers_half_belongs_to_the_group_that_was_configured() {
    let home = Home::staffed();
    // Only root may give a file to a group it is not in: everyone else tries a group of her own.
    let id = home.foreign("id", &["-Gn"]).ok().stdout;
    let group = if id.split_whitespace().any(|group| group == "root") {
        "daemon"
    } else {
        id.split_whitespace().last().unwrap()
    };
    let entry = home.foreign("getent", &["group", group]).ok().stdout;
    let number: u32 = entry.split(':').nth(2).unwrap().parse().unwrap();
    let target = with_target(&home, &format!("group = \"{group}\""));
    home.run(&["publish"]);
    for file in SERVER.iter().chain(&MANIFESTS) {
        let metadata = std::fs::metadata(target.join("server").join(file)).unwrap();
        assert_eq!(
            (metadata.gid(), metadata.mode() & 0o777),
            (number, 0o640),
            "{file}"
        );
    }
    // Who may read the files must be able to reach them.
    let directory = std::fs::metadata(target.join("server")).unwrap();
    assert_eq!((directory.gid(), directory.mode() & 0o777), (number, 0o750));
}

#[test]
fn a_revocation_reaches_the_target_directory_in_the_same_command() {
    let home = Home::staffed();
    let target = with_target(&home, "");
    home.run(&["publish"]);
    home.run(&["revoke", "alice", "--yes"]);
    let map = std::fs::read_to_string(target.join("server/revoked.map")).unwrap();
    assert_eq!(map, format!("{} 1;\n", home.alice().serial));
}

#[test]
fn the_maps_name_who_is_revoked_and_who_is_allowed() {
    let home = Home::staffed();
    let [alice, bob] = [home.alice().serial, home.bob().serial];
    let read = |file: &str| std::fs::read_to_string(home.server(file)).unwrap();
    let mut allowed = [
        format!("{alice} \"alice/phone\";"),
        format!("{bob} \"bob/phone\";"),
    ];
    allowed.sort();
    assert_eq!(read("allowed.map").lines().collect::<Vec<_>>(), allowed);
    assert_eq!(read("revoked.map"), "");
    home.run(&["revoke", "alice", "--yes"]);
    assert_eq!(read("allowed.map"), format!("{bob} \"bob/phone\";\n"));
    assert_eq!(read("revoked.map"), format!("{alice} 1;\n"));
}

#[test]
fn devices_json_describes_each_device_as_node_sees_its_certificate() {
    if !need(&["node", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    let [leaf, ..] = home.opened(&home.alice());
    let script = r#"
const crypto = require("crypto"), fs = require("fs");
const certificate = new crypto.X509Certificate(fs.readFileSync(process.argv[1]));
const sha256 = (bytes, form) => crypto.createHash("sha256").update(bytes).digest(form);
console.log(JSON.stringify({
  serial: certificate.serialNumber, address: "alice/phone", status: "valid",
  spki: certificate.publicKey.export({ type: "spki", format: "der" }).toString("base64"),
  spki_sha256: sha256(certificate.publicKey.export({ type: "spki", format: "der" }), "base64"),
  "x5t#S256": sha256(certificate.raw, "base64url"),
  not_after: new Date(certificate.validTo).toISOString().replace(".000Z", "Z"),
}));
"#;
    let expected = home
        .foreign("node", &["-e", script, leaf.to_str().unwrap()])
        .ok()
        .json();
    let devices = std::fs::read_to_string(home.server("devices.json")).unwrap();
    let devices: serde_json::Value = serde_json::from_str(&devices).unwrap();
    assert_eq!(devices["version"], 1);
    let devices = devices["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 2);
    assert!(devices.contains(&expected), "{expected}: {devices:?}");
}

#[test]
fn where_nothing_changed_nothing_is_rewritten() {
    let home = Home::staffed();
    let target = with_target(&home, "");
    home.run(&["publish"]);
    let before = [
        home.home().join("public"),
        home.home().join("server"),
        target.clone(),
    ]
    .map(|d| traces(&d));
    home.run(&["publish"]);
    home.run(&["list"]);
    let after = [home.home().join("public"), home.home().join("server"), target].map(|d| traces(&d));
    assert_eq!(before, after);
}

#[test]
fn a_revocation_rewrites_what_it_changes_and_leaves_the_rest_alone() {
    let home = Home::staffed();
    let before = traces(&home.home().join("public"));
    home.run(&["revoke", "alice", "--yes"]);
    let after = traces(&home.home().join("public"));
    let changed: Vec<&str> = before
        .keys()
        .filter(|file| before[*file] != after[*file])
        .map(String::as_str)
        .collect();
    assert_eq!(
        changed,
        [
            "crl/bundle.pem",
            "crl/issuing.crl",
            "crl/issuing.pem",
            "manifest.json",
            "manifest.jws"
        ]
    );
}

#[test]
fn a_target_that_cannot_be_written_is_exit_5_and_the_home_has_the_publication_all_the_same() {
    let home = Home::staffed();
    home.write_private("no-directory", "");
    let place = home.path("no-directory").join("public");
    home.configure_table(&format!("[[publish]]\npublic = \"{}\"\n", place.display()));
    let said = finish(&mut home.pki(&["revoke", "alice", "--yes"]), b"").exits(5);
    assert!(said.stderr.contains(place.to_str().unwrap()), "{said}");
    let map = std::fs::read_to_string(home.server("revoked.map")).unwrap();
    assert_eq!(map, format!("{} 1;\n", home.alice().serial));
}

#[test]
fn what_was_tampered_with_is_put_right_by_the_next_publication() {
    if !need(&["node"]) {
        return;
    }
    let home = Home::staffed();
    for (area, file) in [
        ("public", "crl/bundle.pem"),
        ("server", "revoked.map"),
        ("public", "manifest.jws"),
    ] {
        std::fs::write(home.home().join(area).join(file), "tampered").unwrap();
        home.run(&["publish"]);
        verified(&home, area, &home.home().join(area));
    }
}

#[test]
fn a_file_that_was_opened_to_others_or_closed_to_its_readers_is_put_right_by_the_next_publication() {
    let home = Home::staffed();
    for (file, mode) in [
        ("server/devices.json", 0o644),
        ("public/crl/bundle.pem", 0o600),
        ("public/manifest.jws", 0o600),
    ] {
        let file = home.home().join(file);
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    }
    home.run(&["publish"]);
    assert_modes(&home.home().join("public"), &PUBLIC, 0o755, 0o644);
    assert_modes(&home.home().join("server"), &SERVER, 0o750, 0o640);
}

#[test]
fn a_target_is_written_in_the_order_of_the_contract_and_each_file_renamed_into_its_place() {
    if !need(&["strace"]) {
        return;
    }
    let home = Home::staffed();
    let target = with_target(&home, "");
    let written = home.path("strace.txt");
    let mut strace = program("strace");
    strace
        .args([
            "-f",
            "-qq",
            "-y",
            "-e",
            "trace=openat,rename,renameat,renameat2",
            "-o",
        ])
        .arg(&written);
    let pki = home.pki(&["publish"]);
    strace
        .arg(pki.get_program())
        .args(pki.get_args())
        .current_dir(home.path(""));
    for (name, value) in pki.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    finish(&mut strace, b"").ok();

    let told = std::fs::read_to_string(&written).unwrap();
    let names = |call: &str| -> Vec<String> {
        let lines = told
            .lines()
            .filter(|line| line.contains(call) && !line.contains(" = -1 "));
        // The last name of the call is the one that comes to be, in the directory of the handle before it.
        let paths = lines.filter_map(|line| {
            let (before, name) = line.rsplit_once('"')?.0.rsplit_once('"')?;
            let (_, directory) = before.rsplit_once('>')?.0.rsplit_once('<')?;
            Some(Path::new(directory).join(name))
        });
        let below = target.canonicalize().unwrap();
        paths
            .filter_map(|path| Some(path.strip_prefix(&below).ok()?.display().to_string()))
            .collect()
    };
    let renamed = names("rename");
    let place = |file: &str| {
        let found: Vec<usize> = (0..renamed.len()).filter(|i| renamed[*i] == file).collect();
        assert_eq!(found.len(), 1, "{file} in {renamed:?}");
        found[0]
    };
    let of = |area: &str, files: &[&str]| {
        files
            .iter()
            .map(|file| place(&format!("{area}/{file}")))
            .collect::<Vec<_>>()
    };
    let [crls, cas] = ["crl/", "ca/"].map(|start| {
        let files: Vec<&str> = PUBLIC
            .into_iter()
            .filter(|file| file.starts_with(start))
            .collect();
        of("public", &files)
    });
    let groups = [
        of("server", &["revoked.map"]),
        of("server", &["allowed.map", "devices.json"]),
        crls,
        cas,
    ];
    for pair in groups.windows(2) {
        assert!(pair[0].iter().max() < pair[1].iter().min(), "{renamed:?}");
    }
    for (area, files) in [("server", &SERVER[..]), ("public", &PUBLIC)] {
        assert!(
            of(area, files).iter().max() < of(area, &MANIFESTS).iter().min(),
            "{area}: {renamed:?}"
        );
    }
    let made = names("O_CREAT");
    assert_eq!(made.len(), renamed.len(), "{made:?}");
    assert!(
        made.iter().all(|file| !renamed.contains(file)),
        "written under a final name: {made:?}"
    );
}

#[test]
fn a_pipe_in_a_target_keeps_no_revocation_waiting() {
    if !need(&["mkfifo"]) {
        return;
    }
    let home = Home::staffed();
    let target = with_target(&home, "");
    std::fs::create_dir_all(target.join("public/crl")).unwrap();
    for file in ["public/crl/issuing.crl", "public/manifest.json"] {
        finish(program("mkfifo").arg(target.join(file)), b"").ok();
    }
    let serial = home.serial_of("alice/phone");
    let revoked = finish(&mut home.pki(&["revoke", "alice", "--yes"]), b"").exits(5);
    assert!(revoked.stderr.contains("it is no regular file"), "{revoked}");
    assert!(
        std::fs::read_to_string(target.join("server/revoked.map"))
            .unwrap()
            .contains(&serial)
    );
}

#[test]
fn a_group_that_is_gone_keeps_a_revocation_from_nobody_else() {
    let home = Home::staffed();
    let target = with_target(&home, "group = \"no-such-group\"");
    let serial = home.serial_of("alice/phone");
    let revoked = finish(&mut home.pki(&["revoke", "alice", "--yes"]), b"").exits(5);
    assert!(
        revoked.stderr.contains("there is no group no-such-group"),
        "{revoked}"
    );
    assert!(
        std::fs::read_to_string(home.server("revoked.map"))
            .unwrap()
            .contains(&serial)
    );
    assert!(target.join("public/crl/issuing.crl").exists());
}

#[test]
fn the_roots_crl_of_an_older_backup_keeps_no_revocation_back() {
    let home = Home::staffed();
    let target = with_target(&home, "");
    let old = std::fs::read(home.path("home/root/root.crl")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    home.run(&["root", "crl", "-q"]);
    let new = std::fs::read(target.join("public/crl/root.crl")).unwrap();
    for (lost, employee) in [(old, "carol"), (Vec::new(), "dora")] {
        std::fs::write(home.path("home/root/root.crl"), lost).unwrap();
        std::fs::remove_dir_all(home.path("home/public")).unwrap();
        let serial = home.issue(employee, &[]).serial;
        home.run(&["revoke", employee, "--yes", "-q"]);
        assert!(
            std::fs::read_to_string(home.server("revoked.map"))
                .unwrap()
                .contains(&serial)
        );
        assert_eq!(std::fs::read(home.public("crl/root.crl")).unwrap(), new);
    }
}

#[test]
fn manifests_rise_over_what_was_published_and_heed_no_forged_one() {
    let home = Home::staffed();
    let target = with_target(&home, "");
    home.run(&["publish", "-q"]);
    let number = || {
        verified(&home, "server", &target.join("server"))["number"]
            .as_u64()
            .unwrap()
    };
    let backup = crate::support::copy_of(&home);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    home.run(&["issue", "carol", "--bundle-passphrase-out", "carol", "-q"]);
    let before = number();
    std::fs::remove_dir_all(home.home()).unwrap();
    std::fs::rename(backup.home(), home.home()).unwrap();
    home.run(&["publish", "-q"]);
    let after = number();
    assert!(after > before, "{after} after {before}");

    let forged = std::fs::read_to_string(target.join("server/manifest.json")).unwrap();
    let forged = forged.replace(&after.to_string(), &u64::MAX.to_string());
    std::fs::write(target.join("server/manifest.json"), forged).unwrap();
    for area in [target.join("server"), home.home().join("server")] {
        let jws = std::fs::read_to_string(area.join("manifest.jws")).unwrap();
        let (signed, _) = jws.rsplit_once('.').unwrap();
        std::fs::write(area.join("manifest.jws"), format!("{signed}.{}", "A".repeat(86))).unwrap();
    }
    home.run(&["publish", "-q"]);
    assert!((after + 1..u64::MAX / 2).contains(&number()));
}

#[test]
fn a_publication_that_stops_halfway_is_exit_5() {
    let home = Home::staffed();
    home.run(&["revoke", "alice", "--yes", "--no-publish", "-q"]);
    let manifest = home.public("manifest.json");
    std::fs::remove_file(&manifest).unwrap();
    std::fs::create_dir(&manifest).unwrap();
    finish(&mut home.pki(&["publish"]), b"").exits(5);
    std::fs::remove_dir(&manifest).unwrap();
    home.run(&["publish"]);
}

#[test]
fn a_link_in_a_target_leads_nothing_into_the_home() {
    let home = Home::staffed();
    let target = with_target(&home, "");
    let issuing = home.home().join("issuing");
    let before = traces(&issuing);
    std::fs::create_dir_all(target.join("public")).unwrap();
    let link = target.join("public/ca");
    symlink(&issuing, &link).unwrap();
    let refused = finish(&mut home.pki(&["publish"]), b"").exits(5);
    let why = format!("{} could not be opened: it is a link", link.display());
    assert!(refused.stderr.contains(&why), "{refused}");
    assert_eq!(traces(&issuing), before);
    assert_eq!(std::fs::metadata(&issuing).unwrap().mode() & 0o777, 0o700);

    // What looks as it should by way of a link is not there either.
    std::fs::remove_file(&link).unwrap();
    home.run(&["publish"]);
    std::fs::rename(&link, target.join("ca")).unwrap();
    symlink(target.join("ca"), &link).unwrap();
    finish(&mut home.pki(&["publish"]), b"").exits(5);
    std::fs::remove_file(&link).unwrap();
    let file = target.join("public/crl/root.crl");
    std::fs::rename(&file, target.join("root.crl")).unwrap();
    symlink(target.join("root.crl"), &file).unwrap();
    let refused = finish(&mut home.pki(&["publish"]), b"").exits(5);
    assert!(refused.stderr.contains("it is a link"), "{refused}");
}

#[test]
fn a_target_may_be_the_operators_link_and_no_other_accounts() {
    let home = Home::staffed();
    let target = with_target(&home, "");
    std::fs::create_dir_all(home.path("elsewhere")).unwrap();
    std::fs::create_dir(&target).unwrap();
    let link = target.join("public");
    symlink("../elsewhere", &link).unwrap();
    home.run(&["publish"]);
    assert!(home.path("elsewhere/ca/root.crt").exists());

    // Only root can make another account's link.
    if std::os::unix::fs::lchown(&link, Some(1), None).is_ok() {
        home.run(&[
            "issue",
            "carol",
            "--bundle-passphrase-out",
            "carol",
            "--no-publish",
        ]);
        let before = traces(&home.path("elsewhere"));
        let refused = finish(&mut home.pki(&["publish"]), b"").exits(5);
        assert!(
            refused.stderr.contains("only root's and your own are followed"),
            "{refused}"
        );
        assert_eq!(traces(&home.path("elsewhere")), before);
    }
}

#[test]
fn a_home_may_be_found_by_any_link() {
    let home = Home::staffed();
    let link = home.path("link");
    symlink(home.home(), &link).unwrap();
    // Only root can make another account's link.
    let _ = std::os::unix::fs::lchown(&link, Some(1), None);
    home.run(&["--home", link.to_str().unwrap(), "revoke", "alice", "--yes"]);
    assert!(home.server("revoked.map").metadata().unwrap().len() > 0);
}

#[test]
fn a_target_is_no_other_place_by_another_path() {
    let home = Home::staffed();
    let target = with_target(&home, "");
    for (link, leads_to, why) in [
        ("public", home.home().join("root"), "it lies in the home"),
        ("public", home.home(), "it lies in the home"),
        ("public", home.path(""), "or the home in it"),
        ("server", target.join("public"), "it is "),
        ("server", target.join("public/inner"), "or lies in it"),
    ] {
        let _ = std::fs::remove_dir_all(&target);
        std::fs::create_dir_all(target.join("public/inner")).unwrap();
        if link == "public" {
            std::fs::remove_dir_all(target.join(link)).unwrap();
        }
        symlink(&leads_to, target.join(link)).unwrap();
        let refused = finish(&mut home.pki(&["publish"]), b"").exits(5);
        let place = format!("{} was not published to: ", target.join(link).display());
        assert!(
            refused.stderr.contains(&place) && refused.stderr.contains(why),
            "{link} {leads_to:?}: {refused}"
        );
        for written in ["revoked.map", "ca", "inner/revoked.map"] {
            assert!(
                !leads_to.join(written).exists() || leads_to.join("inner").exists() && written == "ca",
                "{leads_to:?}/{written}"
            );
        }
    }
}

#[test]
fn of_a_target_at_most_two_directories_are_made() {
    let home = Home::staffed();
    let place = home.path("mnt/nfs/pki/public");
    home.configure_table(&format!("[[publish]]\npublic = \"{}\"\n", place.display()));
    let said = finish(&mut home.pki(&["publish"]), b"").exits(5);
    let missing = format!("{} does not exist", home.path("mnt/nfs").display());
    assert!(said.stderr.contains(&missing), "{said}");
    assert!(!home.path("mnt").exists());
    std::fs::create_dir_all(home.path("mnt/nfs")).unwrap();
    home.run(&["publish", "--dry-run"]);
    assert!(!home.path("mnt/nfs/pki").exists());
    home.run(&["publish"]);
    assert!(place.join("manifest.jws").exists());
}

#[test]
fn a_file_without_end_in_a_target_is_replaced_and_not_read() {
    if !need(&["prlimit"]) {
        return;
    }
    let home = Home::staffed();
    let target = with_target(&home, "");
    home.run(&["publish"]);
    for directory in [target.clone(), home.home()] {
        for file in [
            "public/crl/issuing.crl",
            "public/crl/root.crl",
            "public/manifest.jws",
            "server/manifest.json",
            "server/revoked.map",
        ] {
            let file = directory.join(file);
            let wanted = std::fs::metadata(&file).unwrap().len();
            let sparse = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
            sparse.set_len(8 << 30).unwrap();
            let pki = home.pki(&["publish", "-q"]);
            let mut limited = program("prlimit");
            limited.arg("--as=2000000000").arg(pki.get_program());
            limited.args(pki.get_args()).current_dir(home.path(""));
            for (name, value) in pki.get_envs() {
                match value {
                    Some(value) => limited.env(name, value),
                    None => limited.env_remove(name),
                };
            }
            finish(&mut limited, b"").ok();
            let now = std::fs::metadata(&file).unwrap().len();
            assert!(now < wanted + 100, "{file:?} has {now} octets");
        }
    }
}

#[test]
fn one_target_alone_is_published_to_where_it_is_named() {
    let home = Home::staffed();
    let target = with_target(&home, "");
    let public = target.join("public");
    home.run(&["publish", public.to_str().unwrap()]);
    assert!(public.join("manifest.json").exists() && !target.join("server").exists());
    let refused = finish(&mut home.pki(&["publish", "/srv/elsewhere"]), b"").exits(1);
    let message = "no [[publish]] of pki.toml names the directory /srv/elsewhere";
    assert!(refused.stderr.contains(message), "{refused}");
    home.run(&["publish"]);
    assert!(target.join("server/manifest.json").exists());
}

/// Adds a directory outside of the home to `pki.toml`: `target/public` and `target/server`.
fn with_target(home: &Home, more: &str) -> std::path::PathBuf {
    let target = home.path("target");
    let [public, server] = ["public", "server"].map(|area| target.join(area).display().to_string());
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{public}\"\nserver = \"{server}\"\n{more}\n"
    ));
    target
}

fn verified(home: &Home, area: &str, directory: &Path) -> serde_json::Value {
    let script = home.path("verify.cjs");
    std::fs::write(&script, VERIFY).unwrap();
    let root = home.home().join("root/root.crt");
    let [script, directory, root] = [&script, directory, &root].map(|path| path.to_str().unwrap());
    home.foreign("node", &[script, area, directory, root]).ok().json()
}

fn assert_modes(directory: &Path, files: &[&str], of_directories: u32, of_files: u32) {
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(directory), of_directories, "{directory:?}");
    for file in files.iter().chain(&MANIFESTS) {
        let file = directory.join(file);
        assert_eq!(mode(&file), of_files, "{file:?}");
        assert_eq!(mode(file.parent().unwrap()), of_directories, "above {file:?}");
    }
}

/// Every file below a directory: which one it is, and when it was written.
fn traces(directory: &Path) -> BTreeMap<String, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut todo = vec![directory.to_owned()];
    while let Some(place) = todo.pop() {
        for entry in std::fs::read_dir(&place).unwrap() {
            let path = entry.unwrap().path();
            let metadata = std::fs::metadata(&path).unwrap();
            if metadata.is_dir() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap().display().to_string();
                found.insert(name, (metadata.ino(), metadata.modified().unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "{directory:?} is empty");
    found
}
