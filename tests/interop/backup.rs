//! A backup is opened by `age`, `tar` and `sha256sum` alone, and one that they have made again is restored.

use crate::support::{Home, finish, need, program};

const TOOLS: [&str; 5] = ["age", "age-keygen", "tar", "sha256sum", "ssh-keygen"];

/// A home with a phone, backed up to an identity that `age-keygen` has made.
fn backed_up() -> Option<Home> {
    if !need(&TOOLS) {
        return None;
    }
    let home = Home::new();
    home.issue("alice/phone", &[]);
    home.foreign("age-keygen", &["-o", "identity"]).ok();
    let recipient = home.foreign("age-keygen", &["-y", "identity"]).ok().stdout;
    home.run(&["backup", "backup.age", "--with-root", "--to", recipient.trim()]);
    Some(home)
}

fn decrypted(home: &Home) {
    let arguments = ["-d", "-i", "identity", "-o", "backup.tar", "backup.age"];
    home.foreign("age", &arguments).ok();
}

#[test]
fn age_and_tar_give_a_home_that_goes_on() {
    let Some(home) = backed_up() else { return };
    decrypted(&home);
    std::fs::create_dir(home.path("by-hand")).unwrap();
    home.foreign("tar", &["xf", "backup.tar", "-C", "by-hand"]).ok();
    let sums = program("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(home.path("by-hand"))
        .output()
        .unwrap();
    assert!(sums.status.success(), "{sums:?}");
    assert_eq!(String::from_utf8(sums.stdout).unwrap().matches(": OK").count(), 9);
    let by_hand = home.path("by-hand/home").display().to_string();
    std::fs::remove_dir_all(home.home()).unwrap();
    home.run(&["--home", &by_hand, "list"]);
    // It is the home of before: put back by hand, it says nothing of a restore.
    home.run(&["--home", &by_hand, "publish", "--confirm", "HOME"]);
    home.run(&["--home", &by_hand, "root", "crl", "--yes"]);
}

#[test]
fn what_tar_has_packed_again_is_a_backup_still() {
    let Some(home) = backed_up() else { return };
    decrypted(&home);
    std::fs::create_dir(home.path("by-hand")).unwrap();
    home.foreign("tar", &["xf", "backup.tar", "-C", "by-hand"]).ok();
    // In the order that it was in; GNU tar has other headers, and fills up its last block.
    let order = home.foreign("tar", &["tf", "backup.tar"]).ok().stdout;
    std::fs::write(home.path("order"), order).unwrap();
    let mut pack = vec![
        "cf",
        "again.tar",
        "-C",
        "by-hand",
        "--no-recursion",
        "--verbatim-files-from",
    ];
    let order = home.path("order").display().to_string();
    pack.extend(["--files-from", &order]);
    home.foreign("tar", &pack).ok();
    let recipient = home.foreign("age-keygen", &["-y", "identity"]).ok().stdout;
    home.foreign(
        "age",
        &["-a", "-r", recipient.trim(), "-o", "again.age", "again.tar"],
    )
    .ok();
    std::fs::remove_dir_all(home.home()).unwrap();
    home.run(&["restore", "again.age", "--identity", "identity"]);
    home.run(&["publish", "--confirm", "LEDGER"]);
}

#[test]
fn an_identity_that_only_age_knows_opens_a_backup_by_age() {
    let Some(home) = backed_up() else { return };
    decrypted(&home);
    home.foreign("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "ssh"])
        .ok();
    home.foreign("age", &["-R", "ssh.pub", "-o", "ssh.age", "backup.tar"])
        .ok();
    home.foreign("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "other"])
        .ok();
    std::fs::remove_dir_all(home.home()).unwrap();
    let said = finish(&mut home.pki(&["restore", "ssh.age", "--identity", "other"]), b"").exits(1);
    assert!(said.stderr.contains("age could not open it"), "{said}");
    assert!(!home.home().exists());
    home.run(&["restore", "ssh.age", "--identity", "ssh"]);
    home.run(&["list"]);
}

#[test]
fn a_backup_goes_through_a_pipe_both_ways() {
    let Some(home) = backed_up() else { return };
    let recipient = home.foreign("age-keygen", &["-y", "identity"]).ok().stdout;
    let made = home
        .pki(&["backup", "-", "--to", recipient.trim(), "-q"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::remove_dir_all(home.home()).unwrap();
    finish(
        &mut home.pki(&["restore", "-", "--identity", "identity"]),
        &made.stdout,
    )
    .ok();
    home.run(&["list"]);
}
