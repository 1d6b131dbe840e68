//! Several processes on one home, and a home that may only be read.

use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::state::{bundle_of, certificates, demand_opens, is_sound, kind};
use crate::support::{Home, finish, need, program};

fn lived_in() -> Home {
    let home = Home::new();
    home.run(&["issue", "alice", "--bundle-passphrase-out", "first", "-q"]);
    home
}

#[test]
fn twenty_at_once_all_succeed() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    let names: Vec<String> = (0..20).map(|i| format!("person{i}")).collect();
    let started: Vec<_> = names
        .iter()
        .map(|name| {
            let mut command = home.pki(&[
                "issue",
                name,
                "--bundle-passphrase-out",
                name,
                "--wait",
                "2m",
                "-q",
            ]);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for (name, child) in names.iter().zip(started) {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.as_ref()), (Some(0), ""), "{name}");
    }
    let all = is_sound(&home, "twenty at once");
    assert_eq!(all.len(), 20);
    for name in &names {
        let one: Vec<_> = all
            .iter()
            .filter(|one| one.address == format!("{name}/phone"))
            .collect();
        assert_eq!((one.len(), one[0].status.as_str()), (1, "valid"), "{name}");
        let secret = std::fs::read_to_string(home.path(name)).unwrap();
        let bundle = bundle_of(&home, &one[0].serial).unwrap();
        demand_opens(&home, &bundle, secret.trim_end(), &one[0].serial, name);
    }
}

/// Holds the home's lock as another `pki` would, until it is dropped.
fn held(home: &Home) -> File {
    let path = home.home().join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .unwrap();
    file.lock().unwrap();
    std::fs::write(&path, "process 4711 (pki revoke bob)\n").unwrap();
    file
}

#[test]
fn a_busy_home_is_refused_with_the_name_of_its_holder() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    let lock = held(&home);
    let busy = finish(
        &mut home.pki(&[
            "issue",
            "bob",
            "--bundle-passphrase-out",
            "bob",
            "--wait",
            "0s",
            "--json",
        ]),
        b"",
    );
    let busy = busy.exits(1);
    assert_eq!(kind(&busy), "busy");
    assert!(busy.stderr.contains("process 4711 (pki revoke bob)"), "{busy}");
    assert!(!home.path("bob").exists() && !home.path("bob-phone.p12").exists());
    drop(lock);
    home.run(&[
        "issue",
        "bob",
        "--bundle-passphrase-out",
        "bob",
        "--wait",
        "0s",
        "-q",
    ]);
    assert_eq!(is_sound(&home, "after a busy home").len(), 2);
}

#[test]
fn reading_waits_for_nobody() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    let _lock = held(&home);
    for arguments in [
        &["list", "--json"][..],
        &["show", "alice", "--json"],
        &["audit", "--json"],
        &["audit", "verify"],
    ] {
        let mut command = home.pki(arguments);
        command.args(["--wait", "0s"]);
        finish(&mut command, b"").ok();
    }
    assert_eq!(certificates(&home).len(), 1);
}

#[test]
fn who_waits_is_served_as_soon_as_the_home_is_free() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    let lock = held(&home);
    let mut command = home.pki(&[
        "issue",
        "bob",
        "--bundle-passphrase-out",
        "bob",
        "--wait",
        "2m",
        "-q",
    ]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        child.try_wait().unwrap(),
        None,
        "it went on while another held the lock"
    );
    assert!(!home.path("bob-phone.p12").exists());
    drop(lock);
    assert!(child.wait().unwrap().success());
    assert_eq!(is_sound(&home, "after waiting").len(), 2);
}

/// Waits until this process wants the home's lock: all that it decides before that is decided.
fn wait_until_it_waits(home: &Home, child: &Child) {
    let lock = home.home().join("lock").canonicalize().unwrap();
    let open = format!("/proc/{}/fd", child.id());
    let has_it_open = || {
        let mut files = std::fs::read_dir(&open).into_iter().flatten().flatten();
        files.any(|file| std::fs::read_link(file.path()).is_ok_and(|to| to == lock))
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while !has_it_open() {
        assert!(Instant::now() < deadline, "it does not wait for the lock");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn two_that_find_the_same_devices_due_renew_each_once() {
    if !need(&["openssl"]) {
        return;
    }
    for command in [
        &["renew", "--expiring", "1000d", "--revoke-old"][..],
        &["renew", "--expiring", "1000d"],
        &["issue", "--from", "people.csv", "--update"],
    ] {
        let home = Home::staffed();
        let old = certificates(&home);
        home.write_private(
            "people.csv",
            "employee,device,name\nalice,phone,Alice Otherwise\nbob,phone,Bob Otherwise\n",
        );
        let lock = held(&home);
        let started = ["first", "second"].map(|name| {
            let list = format!("{name}.tsv");
            let mut arguments = command.to_vec();
            arguments.extend(["--out", name, "--bundle-passphrase-out", &list]);
            arguments.extend(["--wait", "2m", "--json"]);
            let mut command = home.pki(&arguments);
            let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
            let child = command.stderr(Stdio::piped()).spawn().unwrap();
            wait_until_it_waits(&home, &child);
            child
        });
        drop(lock);
        let [first, second] = started.map(|child| {
            let said = child.wait_with_output().unwrap();
            let why = String::from_utf8_lossy(&said.stderr);
            assert_eq!(said.status.code(), Some(0), "{command:?}: {why}");
            serde_json::from_slice::<Value>(&said.stdout).unwrap()
        });
        let count = |said: &Value, what: &str| said[what].as_array().unwrap().len();
        let mut counts = [&first, &second].map(|said| (count(said, "issued"), count(said, "already")));
        counts.sort_unstable();
        assert_eq!(counts, [(0, 2), (2, 0)], "{command:?}");
        let all = is_sound(&home, "two at once");
        assert_eq!(all.len(), 4, "{command:?}");
        let is_new = |serial: &str| old.iter().all(|one| one.serial != serial);
        for new in all.iter().filter(|one| is_new(&one.serial)) {
            assert_eq!(new.status, "valid", "{command:?}");
        }
    }
}

#[test]
fn what_another_home_is_writing_under_the_same_names_is_left_to_it() {
    for out in ["out", "."] {
        let home = Home::new();
        let out_directory = home.path(out);
        std::fs::create_dir_all(&out_directory).unwrap();
        let staged = [
            out_directory.join(".alice-phone.p12.0123456789ab.tmp"),
            home.path(".secret.0123456789ab.tmp"),
        ];
        staged
            .iter()
            .for_each(|staged| std::fs::write(staged, "").unwrap());
        let at_work = [&out_directory, &home.path(".")].map(|directory| {
            let directory = File::open(directory).unwrap();
            directory.lock_shared().unwrap();
            directory
        });
        let arguments = ["alice", "--out", out, "--bundle-passphrase-out", "secret", "-q"];
        home.run(&[&["issue"][..], &arguments].concat());
        assert!(staged.iter().all(|staged| staged.exists()), "{out}: swept");
        // What nobody is at work on was left by a kill.
        drop(at_work);
        std::fs::remove_file(home.path("secret")).unwrap();
        home.run(&[&["renew"][..], &arguments].concat());
        assert!(!staged.iter().any(|staged| staged.exists()), "{out}: left");
    }
}

#[test]
fn what_another_home_is_writing_for_the_same_server_is_left_to_it() {
    let home = Home::new();
    let out = home.path("tls");
    std::fs::create_dir_all(&out).unwrap();
    let staged =
        ["key", "crt", "csr"].map(|file| out.join(format!(".api.acme.example.{file}.0123456789ab.tmp")));
    let stage = || {
        staged
            .iter()
            .for_each(|staged| std::fs::write(staged, "").unwrap())
    };
    let host = ["api.acme.example", "--out", "tls", "-q"];
    for verb in ["add", "issue", "csr"] {
        stage();
        let directory = File::open(&out).unwrap();
        directory.lock_shared().unwrap();
        home.run(&[&["server", verb][..], &host].concat());
        assert!(staged.iter().all(|staged| staged.exists()), "{verb}: swept");
    }
    home.run(&[&["server", "csr"][..], &host].concat());
    assert!(!staged.iter().any(|staged| staged.exists()), "left");
    // A server that made its own key gets a certificate alone, and whoever writes that is at work there too.
    stage();
    let request = ["--csr", "tls/api.acme.example.csr"];
    home.run(&[&["server", "issue"][..], &host, &request].concat());
    let left = staged.each_ref().map(|staged| staged.exists());
    assert_eq!(left, [true, false, true], "key, certificate, request");
}

/// The program with mounts of its own, made by this script, that go when it ends.
fn with_mounts(home: &Home, script: &str, arguments: &[&str]) -> Command {
    let inner = home.pki(arguments);
    let mut command = program("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(home.path("."));
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// Whether this machine lets anybody mount. In CI it must.
fn mounts_are_allowed(home: &Home, script: &str) -> bool {
    if finish(&mut with_mounts(home, script, &["completions", "bash"]), b"").code == Some(0) {
        return true;
    }
    let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(!ci, "no mounts of one's own are allowed here, and this is CI");
    eprintln!("skipped: no mounts of one's own are allowed here");
    false
}

#[test]
fn a_home_on_a_read_only_disk_can_be_read() {
    if !need(&["openssl", "unshare", "mount"]) {
        return;
    }
    // A disk that is mounted read-only refuses root as well.
    let home = lived_in();
    let place = home.home();
    let place = place.to_str().unwrap();
    let script =
        format!("mount --bind '{place}' '{place}' && mount -o remount,ro,bind '{place}' && exec \"$@\"");
    let read_only = |arguments: &[&str]| finish(&mut with_mounts(&home, &script, arguments), b"");
    if !mounts_are_allowed(&home, &script) {
        return;
    }
    let listed = read_only(&["list", "--json"]).ok().json();
    assert_eq!(listed["devices"].as_array().unwrap().len(), 1);
    read_only(&["show", "alice"]).ok();
    read_only(&["audit", "verify"]).ok();
    let refused = read_only(&["issue", "bob", "--bundle-passphrase-out", "bob", "--json"]).exits(1);
    assert_eq!(kind(&refused), "disk");
    assert!(refused.stderr.contains("Read-only file system"), "{refused}");
    assert!(!home.path("bob").exists());
}

/// What would not fit is refused before a certificate is signed that nobody gets: by octets, and by files.
#[test]
fn bundles_that_have_no_room_are_refused_before_anything_is_recorded() {
    if !need(&["unshare", "mount"]) {
        return;
    }
    let home = Home::new();
    let mut list = "employee,device,for\n".to_owned();
    (0..12).for_each(|i| list.push_str(&format!("employee{i:02},phone,ios\n")));
    home.write_private("people.csv", &list);
    let out = home.path("out");
    std::fs::create_dir(&out).unwrap();
    let issued = |options: &str, more: &[&str]| {
        let script = format!(
            "mount -t tmpfs -o {options} tmpfs '{}' && exec \"$@\"",
            out.display()
        );
        let list = [
            "issue",
            "--from",
            "people.csv",
            "--out",
            "out",
            "--bundle-passphrase-out",
            "list",
        ];
        mounts_are_allowed(&home, &script)
            .then(|| finish(&mut with_mounts(&home, &script, &[&list[..], more].concat()), b""))
    };
    for (options, more) in [
        ("size=128k", &[][..]),
        ("size=64m,nr_inodes=20", &[]),
        ("size=1m", &["--qr", "bundle"]),
    ] {
        let Some(told) = issued(options, more) else {
            return;
        };
        let told = told.exits(1);
        assert!(
            told.stderr.contains("no file can be put into"),
            "{options}: {told}"
        );
        let ledger = std::fs::read_to_string(home.home().join("ledger.jsonl")).unwrap();
        assert!(!ledger.contains("\"issued\""), "{options}");
    }
    issued("size=64m,nr_inodes=200", &[]).unwrap().ok();
}

#[test]
fn a_disk_that_is_full_is_named_before_a_revocation_finds_no_room() {
    if !need(&["openssl", "unshare", "mount"]) {
        return;
    }
    let home = lived_in();
    let place = home.path("web");
    std::fs::create_dir(&place).unwrap();
    home.configure_table(&format!("[[publish]]\npublic = {:?}\n", place.join("public")));
    let examined = |size: &str| {
        // It is published there, and then so much room is left.
        let script = format!(
            "mount -t tmpfs -o size={size} tmpfs '{0}' && mkdir '{0}/public' && exec \"$@\"",
            place.display()
        );
        mounts_are_allowed(&home, &script).then(|| {
            let told = finish(&mut with_mounts(&home, &script, &["doctor", "--json"]), b"");
            let findings = told.json()["findings"].as_array().unwrap().clone();
            let full = findings
                .into_iter()
                .find(|finding| finding["code"] == "disk-full");
            full.map(|finding| {
                let message = finding["message"].as_str().unwrap();
                assert!(message.contains(place.to_str().unwrap()), "{message}");
                finding["severity"].as_str().unwrap().to_owned()
            })
        })
    };
    let Some(large) = examined("64m") else {
        return;
    };
    assert_eq!(large, None);
    assert_eq!(examined("8m").unwrap().as_deref(), Some("warning"));
    assert_eq!(examined("64k").unwrap().as_deref(), Some("error"));
}

#[test]
fn files_that_others_can_read_are_refused() {
    if !need(&["openssl"]) {
        return;
    }
    let home = lived_in();
    for file in ["issuing/issuing.key", "ledger.jsonl", "issuing", "root"] {
        let path = home.home().join(file);
        let before = std::fs::metadata(&path).unwrap().permissions();
        std::fs::set_permissions(&path, Permissions::from_mode(before.mode() | 0o044)).unwrap();
        let refused = finish(
            &mut home.pki(&["issue", "bob", "--bundle-passphrase-out", "bob", "--json"]),
            b"",
        )
        .exits(1);
        assert_eq!(kind(&refused), "exposed", "{file}: {refused}");
        assert!(
            refused.stderr.contains(&format!("chmod go= {}", path.display())),
            "{file}: {refused}"
        );
        std::fs::set_permissions(&path, before).unwrap();
    }
    is_sound(&home, "with its modes back");
}

#[test]
fn a_list_that_nobody_reads_on_keeps_nobody_out() {
    if !need(&["openssl"]) {
        return;
    }
    // So many that their index is on disk, and that their list is more than a pipe takes in.
    let home = lived_in();
    let rows: String = (0..1000).map(|i| format!("person{i},phone\n")).collect();
    home.write_private("people.csv", &format!("employee,device\n{rows}"));
    let secrets = ["--bundle-passphrase-out", "secrets", "--out", "bundles"];
    home.run(
        &[
            &["issue", "--from", "people.csv", "--no-publish", "-q"][..],
            &secrets,
        ]
        .concat(),
    );
    let mut list = home.pki(&["list"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0];
    std::io::Read::read_exact(list.stdout.as_mut().unwrap(), &mut first).unwrap();
    home.run(&["revoke", "person7", "--yes", "--no-publish", "--wait", "0s", "-q"]);
    drop(list.stdout.take());
    list.wait().unwrap();
}

/// Less is accepted then, and never more: the long lists wait for room.
#[test]
fn a_place_without_room_for_all_of_a_publication_gets_what_locks_out() {
    if !need(&["openssl", "unshare", "mount"]) {
        return;
    }
    let home = Home::staffed();
    let place = home.path("web");
    std::fs::create_dir(&place).unwrap();
    home.configure_table(&format!("[[publish]]\nserver = {:?}\n", place.join("server")));
    let alice = home.serial_of("alice/phone").to_uppercase();
    // Two files of a page have room beside what is published, which is five of them.
    let script = format!(
        "mount -t tmpfs -o size=96k tmpfs '{0}' && \"$1\" publish -q; head -c 1m /dev/zero > '{0}/rest' 2> /dev/null; \
         truncate -s -8k '{0}/rest'; \"$@\"; echo \"ended $?\"; cat '{0}/server/revoked.map'; rm '{0}/rest'; \
         \"$1\" publish -q; echo \"then $?\"; ls -A '{0}/server'",
        place.display()
    );
    if !mounts_are_allowed(&home, "exec \"$@\"") {
        return;
    }
    let said = finish(
        &mut with_mounts(&home, &script, &["revoke", "alice", "--yes"]),
        b"",
    )
    .ok();
    assert!(said.stderr.contains("No space left on device"), "{said}");
    assert!(said.stdout.contains("ended 5"), "{said}");
    let (_, map) = said.stdout.split_once("ended 5").unwrap();
    assert!(map.to_uppercase().contains(&alice), "{said}");
    assert!(map.contains("then 0"), "{said}");
    assert!(!map.contains(".tmp"), "{said}");
}
