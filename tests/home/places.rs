//! Where things are kept: file systems that lack something, paths that only a shell understands, accounts
//! that are in no file, a stdout that is full.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Finished, HOST, Home, PKI, files_below, finish, found, is_root, need, program};

/// A medium for a test, and how a command finds it.
struct Medium {
    path: PathBuf,
    /// What is set for the program, where the medium is none of its own kind by itself.
    shim: Option<PathBuf>,
    device: Option<String>,
}

impl Medium {
    /// A directory whose files seem to have the mode 0755, whatever they are given. A compiler of C is where
    /// one of Rust is.
    fn modeless(home: &Home) -> Self {
        let shim = home.path("modeless.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/shim/modeless.c");
        let mut cc = program("cc");
        finish(cc.args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(source), b"").ok();
        std::fs::create_dir(home.path("usb")).unwrap();
        Self {
            path: home.path("usb").canonicalize().unwrap(),
            shim: Some(shim),
            device: None,
        }
    }

    /// A file system that is made and mounted with these commands. None: this machine does not let it, which
    /// a test beside it makes up for.
    fn mounted(home: &Home, make: &str, mount: &str, options: &str) -> Option<Self> {
        if !is_root()
            || [make, mount, "losetup", "umount"]
                .iter()
                .any(|tool| found(tool).is_none())
        {
            eprintln!("skipped: {mount} needs root, and to be installed");
            return None;
        }
        let image = home.path("image");
        File::create(&image).unwrap().set_len(16 << 20).unwrap();
        std::fs::create_dir(home.path("usb")).unwrap();
        let path = home.path("usb").canonicalize().unwrap();
        let quick: &[&str] = if make == "mkntfs" { &["-F", "-Q"] } else { &[] };
        finish(program(make).args(quick).arg(&image), b"").ok();
        let attached = finish(program("losetup").args(["-f", "--show"]).arg(&image), b"");
        let device = attached.stdout.trim().to_owned();
        if attached.code != Some(0) {
            eprintln!("skipped: {attached}");
            return None;
        }
        let done = finish(program(mount).args(["-o", options, &device]).arg(&path), b"");
        let medium = Self {
            path,
            shim: None,
            device: Some(device),
        };
        if done.code == Some(0) {
            Some(medium)
        } else {
            eprintln!("skipped: {done}");
            None
        }
    }

    fn at(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// The program, which finds this medium as it is.
    fn pki(&self, home: &Home, arguments: &[&str]) -> Command {
        let mut command = home.pki(arguments);
        if let Some(shim) = &self.shim {
            command.env("LD_PRELOAD", shim).env("MODELESS", &self.path);
        }
        command
    }

    fn is_empty(&self) -> bool {
        std::fs::read_dir(&self.path).unwrap().next().is_none()
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        if let Some(device) = &self.device {
            let _ = finish(program("umount").arg(&self.path), b"");
            let _ = finish(program("losetup").args(["-d", device]), b"");
        }
    }
}

const INIT: [&str; 5] = ["init", "--org", "Acme Ltd", "--domain", "acme.example"];

/// Nothing private comes to lie where others can read it, and what is refused for that is refused before
/// anything is made.
fn keeps_nothing_private(home: &Home, medium: &Medium) {
    let ledger = || std::fs::read(home.home().join("ledger.jsonl")).unwrap();
    let before = ledger();
    let refused = |arguments: &[&str]| {
        let said = finish(&mut medium.pki(home, arguments), b"").exits(1);
        assert!(said.stderr.contains("umask=077"), "{said}");
        assert!(medium.is_empty(), "{said}");
        said
    };
    let usb = |name: &str| medium.at(name);
    for root in [usb("root"), usb("new/root"), usb("")] {
        // Nobody is asked for a passphrase before that.
        let arguments = [&INIT[..], &["--offline-root", &root]].concat();
        let mut command = medium.pki(home, &arguments);
        command.env("PKI_HOME", home.path("second"));
        command
            .env_remove("PKI_ROOT_PASSPHRASE_FILE")
            .env_remove("PKI_PASSPHRASE_FILE");
        let said = finish(&mut command, b"").exits(1);
        assert!(said.stderr.contains("umask=077"), "{said}");
        assert!(medium.is_empty() && !home.path("second").exists(), "{said}");
    }
    let mut command = medium.pki(home, &INIT);
    let said = finish(command.env("PKI_HOME", usb("home")), b"").exits(1);
    assert!(said.stderr.contains("umask=077") && medium.is_empty(), "{said}");

    home.write_private("people.csv", "employee,device\nbob,phone\n");
    let issue = ["issue", "alice", "--bundle-passphrase-out"];
    for out in [usb(""), usb("b"), usb("new/b")] {
        refused(&[&issue[..], &["secret", "--out", &out]].concat());
        refused(&[
            "issue",
            "--from",
            "people.csv",
            "--bundle-passphrase-out",
            "secrets",
            "--out",
            &out,
        ]);
        refused(&["server", "issue", HOST, "--out", &out]);
        refused(&["server", "csr", HOST, "--out", &out]);
    }
    refused(&[&issue[..], &[&usb("secret")]].concat());
    refused(&[
        "issue",
        "--from",
        "people.csv",
        "--out",
        "out",
        "--bundle-passphrase-out",
        &usb("secrets"),
    ]);
    assert!(!home.path("secret").exists() && !home.path("alice-phone.p12").exists());
    assert_eq!(ledger(), before);

    // What was brought there by other means is named with the same words.
    finish(program("cp").arg("-r").arg(home.home()).arg(usb("home")), b"").ok();
    std::fs::copy(home.path("issuing-passphrase"), usb("passphrase")).unwrap();
    let _ = finish(program("chmod").args(["-R", "go="]).arg(&medium.path), b"");
    let on_medium = |arguments: &[&str]| {
        let mut command = medium.pki(home, arguments);
        finish(command.env("PKI_HOME", usb("home")), b"")
    };
    let said = on_medium(&["list"]).exits(1);
    assert!(
        said.stderr.contains("umask=077") && !said.stderr.contains("chmod"),
        "{said}"
    );
    let said = on_medium(&["doctor"]).exits(3);
    assert!(
        said.text().contains("umask=077") && !said.text().contains("chmod"),
        "{said}"
    );
    let publish = ["publish", "--unlock", "--passphrase-file", &usb("passphrase")];
    let said = finish(&mut medium.pki(home, &publish), b"").exits(4);
    assert!(said.stderr.contains("umask=077"), "{said}");
    // A publication: what anybody may read can be there, what names employees cannot.
    home.configure_table(&format!(
        "[[publish]]\npublic = {:?}\nserver = {:?}\n",
        usb("public"),
        usb("server")
    ));
    let said = finish(&mut medium.pki(home, &["publish"]), b"").exits(5);
    assert!(said.stderr.contains("server was not published to"), "{said}");
    assert!(said.stderr.contains("umask=077"), "{said}");
    assert!(Path::new(&usb("public/manifest.jws")).exists(), "{said}");
    assert_eq!(files_below(Path::new(&usb("server"))), [""; 0], "{said}");
}

/// A home with a server, whose key can be asked for.
fn with_server() -> Home {
    let home = Home::new();
    home.run(&["server", "add", HOST, "-q"]);
    home
}

#[test]
fn nothing_private_is_put_where_no_modes_are_kept() {
    if !need(&["openssl", "cc"]) {
        return;
    }
    let home = with_server();
    let medium = Medium::modeless(&home);
    keeps_nothing_private(&home, &medium);
}

#[test]
fn nothing_private_is_put_on_ntfs_that_others_can_read() {
    if !need(&["openssl"]) {
        return;
    }
    let home = with_server();
    if let Some(medium) = Medium::mounted(&home, "mkntfs", "mount.ntfs-3g", "fmask=0022,dmask=0022") {
        keeps_nothing_private(&home, &medium);
    }
}

#[test]
fn ntfs_that_is_mounted_for_one_account_takes_everything() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    if let Some(medium) = Medium::mounted(&home, "mkntfs", "mount.ntfs-3g", "umask=077") {
        takes_everything(&home, &medium.path, &|arguments| medium.pki(&home, arguments));
    }
}

#[test]
fn exfat_that_is_mounted_for_one_account_takes_everything() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    if let Some(medium) = Medium::mounted(&home, "mkfs.exfat", "mount.exfat-fuse", "umask=077") {
        takes_everything(&home, &medium.path, &|arguments| medium.pki(&home, arguments));
    }
}

/// As exFAT by FUSE: names can be taken there only by making a file, or by renaming over what is there.
#[test]
fn a_file_system_without_links_and_careful_renames_takes_everything() {
    if !need(&["openssl", "strace"]) {
        return;
    }
    let home = Home::new();
    std::fs::create_dir(home.path("usb")).unwrap();
    takes_everything(&home, &home.path("usb"), &|arguments| {
        let command = home.pki(arguments);
        let mut strace = program("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2,linkat"]);
        strace.args([
            "-e",
            "inject=renameat2:error=EINVAL",
            "-e",
            "inject=linkat:error=EPERM",
        ]);
        strace.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => strace.env(name, value),
                None => strace.env_remove(name),
            };
        }
        strace.current_dir(home.path(""));
        strace
    });
}

/// A root and bundles can be put there, and nothing that lies there is written over.
fn takes_everything(home: &Home, medium: &Path, pki: &dyn Fn(&[&str]) -> Command) {
    let usb = |name: &str| medium.join(name).display().to_string();
    let root = usb("root");
    let init = [&INIT[..], &["-q", "--offline-root", &root]].concat();
    finish(pki(&init).env("PKI_HOME", home.path("second")), b"").ok();
    assert_eq!(files_below(&medium.join("root")), ["root.crt", "root.key"]);

    std::fs::create_dir(medium.join("b")).unwrap();
    std::fs::write(medium.join("b/alice-phone.p12"), "mine").unwrap();
    let issue = [
        "issue",
        "alice",
        "--out",
        &usb("b"),
        "--bundle-passphrase-out",
        &usb("secret"),
        "--json",
    ];
    let said = finish(&mut pki(&issue), b"").ok().json();
    let bundle = said["files"][0].as_str().unwrap();
    assert!(bundle.contains("alice-phone-"), "{said}");
    assert_eq!(std::fs::read(medium.join("b/alice-phone.p12")).unwrap(), b"mine");
    let opened = [
        "pkcs12",
        "-in",
        bundle,
        "-passin",
        &format!("file:{}", usb("secret")),
        "-nokeys",
    ];
    home.foreign("openssl", &opened).ok();
    assert_eq!(files_below(&medium.join("b")).len(), 2);
    let taken = [
        "issue",
        "bob",
        "--out",
        &usb("b"),
        "--bundle-passphrase-out",
        &usb("secret"),
    ];
    finish(&mut pki(&taken), b"").exits(1);
}

#[test]
fn nothing_is_founded_by_a_clock_that_was_never_set() {
    if !need(&["faketime"]) {
        return;
    }
    for time in [
        "@1970-01-02 00:00:00",
        "@2000-01-01 00:00:00",
        "@2025-12-31 00:00:00",
    ] {
        let home = Home::unfounded();
        for dry in [&[][..], &["--dry-run"]] {
            let said = finish(&mut home.pki_at(time, &[&INIT[..], dry].concat()), b"").exits(1);
            assert!(said.stderr.contains("before this program was made"), "{said}");
            assert!(said.stderr.contains("--confirm CLOCK"), "{said}");
            assert!(!home.home().exists());
        }
    }
    let home = Home::unfounded();
    let time = "@2000-01-01 00:00:00";
    finish(
        &mut home.pki_at(time, &[&INIT[..], &["--confirm", "CLOCK", "-q"]].concat()),
        b"",
    )
    .ok();
    // Who has said it once is not asked again.
    let issue = ["issue", "alice", "--bundle-passphrase-out", "secret", "-q"];
    finish(&mut home.pki_at("@2000-01-01 00:01:00", &issue), b"").ok();
}

#[test]
fn a_home_directory_that_is_none_is_no_place_for_a_pki() {
    let home = Home::unfounded();
    for account in [Some(""), Some("relative"), None] {
        for arguments in [&INIT[..], &["list"]] {
            let mut command = home.pki(arguments);
            command.env_remove("PKI_HOME").env_remove("XDG_DATA_HOME");
            match account {
                Some(account) => command.env("HOME", account),
                None => command.env_remove("HOME"),
            };
            let said = finish(&mut command, b"").exits(1);
            assert!(said.stderr.contains("it is not known where the PKI is"), "{said}");
        }
    }
    let left = files_below(&home.path(""));
    assert_eq!(left, ["issuing-passphrase", "root-passphrase"]);
}

#[test]
fn a_tilde_that_no_shell_has_replaced_names_no_place() {
    let home = Home::new();
    let whole = |said: Finished| {
        assert!(said.stderr.contains("write the whole path"), "{said}");
        assert!(!home.path("~").exists(), "{said}");
    };
    for variable in ["PKI_HOME", "PKI_PASSPHRASE_FILE"] {
        for path in ["~/pki", "~bob/pki", "~"] {
            let mut command = home.pki(&["publish", "--unlock"]);
            whole(finish(command.env(variable, path), b"").exits(1));
        }
    }
    for arguments in [
        &["issue", "alice", "--out=~/phones"][..],
        &["issue", "alice", "--bundle-passphrase-out", "~/secret"],
        &["issue", "alice", "--csr", "~bob/x.csr"],
        &["--home", "~/pki", "list"],
        &["show", "~/x.crt"],
        &["publish", "--published=~/web"],
    ] {
        whole(finish(&mut home.pki(arguments), b"").exits(2));
    }
    // One that is meant can be written.
    std::fs::create_dir(home.path("~")).unwrap();
    home.run(&[
        "issue",
        "alice",
        "--out=./~/phones",
        "--bundle-passphrase-out",
        "./~/secret",
    ]);
    std::fs::remove_dir_all(home.path("~")).unwrap();
    home.configure("root_key", "\"~/root.key\"");
    let said = finish(&mut home.pki(&["publish"]), b"").exits(1);
    assert!(said.stderr.contains("must be the whole path"), "{said}");
}

#[test]
fn no_output_is_lost_in_silence() {
    let home = Home::staffed();
    home.run(&["server", "add", HOST, "-q"]);
    for (arguments, code) in [
        (&["--help"][..], 1),
        (&["-h"], 1),
        (&["help"], 1),
        (&["help", "issue"], 1),
        (&["issue", "--help"], 1),
        (&["server", "add", "-h"], 1),
        (&["--version"], 1),
        (&["completions", "bash"], 1),
        (&["list"], 1),
        (&["list", "--csv"], 1),
        (&["list", "--json"], 1),
        (&["show", "alice"], 1),
        (&["show", "alice", "--pem"], 1),
        (&["audit"], 1),
        (&["audit", "verify"], 1),
        (&["config", "nginx", HOST], 1),
        (&["config", "nginx", "--template"], 1),
        (&["config", "systemd"], 1),
        (&["pins", "show"], 1),
        (&["pins", "plan"], 1),
        (&["server", "list"], 1),
        (&["doctor"], 1),
        (&["publish", "--dry-run", "--json"], 1),
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = home.pki(arguments);
        let ended = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(
            said.contains("the output could not be written: No space left"),
            "{arguments:?}: {said}"
        );
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
    // A reader that has seen enough is no failure.
    let mut shell = program("sh");
    let line = format!("{PKI} --help | head -n 1; {PKI} help issue | true");
    let said = finish(shell.args(["-c", &line]), b"").ok();
    assert_eq!(said.stderr, "", "{said}");
}

/// Where a secret that is shown once has reached nobody, what was made for it is ended.
#[test]
fn a_secret_that_reaches_nobody_is_not_taken_for_given() {
    let home = Home::with_certified_server();
    home.configure("host", &format!("\"{HOST}\""));
    let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let gone = || Stdio::from(std::io::pipe().unwrap().1);
    let reaches_nobody = |arguments: &[&str], stdout: Stdio| {
        let mut command = home.pki(arguments);
        let ended = command.stdout(stdout).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(5), "{said}");
        assert!(said.contains("the output could not be written"), "{said}");
        said
    };
    for stdout in [full(), gone()] {
        let said = reaches_nobody(&["server", "acme", HOST], stdout);
        let listed = home.run(&["server", "list", "--json"]).json();
        let kid = listed["accounts"][0]["kid"].as_str().unwrap().to_owned();
        let ends = format!("pki server acme {HOST} --cancel {kid}");
        assert!(said.contains(&ends), "{said}");
        home.run(&["server", "acme", HOST, "--cancel", &kid, "--yes"]);
    }
    for stdout in [full(), gone()] {
        let said = reaches_nobody(&["invite", "create", "alice", "--json"], stdout);
        assert!(said.contains("nothing is open"), "{said}");
        let listed = home.run(&["invite", "list", "--json"]).json();
        let mut all = listed["invites"].as_array().unwrap().iter();
        assert!(all.all(|invite| invite["state"] == "cancelled"), "{listed}");
    }
}

/// The library that lets a program know other accounts than the system does, by the calls that every name
/// service is asked with.
fn nss_wrapper() -> Option<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut files = libraries.map(|directory| directory.path().join("libnss_wrapper.so"));
    let file = files.find(|file| file.exists());
    let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(
        file.is_some() || !ci,
        "libnss-wrapper is not installed, and this is CI"
    );
    if file.is_none() {
        eprintln!("skipped: libnss-wrapper is not installed (`make test` installs it)");
    }
    file
}

#[test]
fn accounts_and_groups_are_asked_of_the_system() {
    let Some(library) = nss_wrapper() else { return };
    let home = Home::new();
    let [uid, gid] = ["-u", "-g"].map(|flag| home.foreign("id", &[flag]).ok().stdout.trim().to_owned());
    let (passwd, group) = (home.path("passwd"), home.path("group"));
    let knowing = |accounts: &str, groups: &str, arguments: &[&str]| {
        std::fs::write(&passwd, accounts).unwrap();
        std::fs::write(&group, groups).unwrap();
        let mut command = home.pki(arguments);
        command
            .env("LD_PRELOAD", &library)
            .env("NSS_WRAPPER_PASSWD", &passwd)
            .env("NSS_WRAPPER_GROUP", &group);
        finish(&mut command, b"")
    };
    let account = |name: &str| format!("{name}:x:{uid}:{gid}::/:/bin/sh\n");
    let systemd = ["config", "systemd"];
    for (accounts, user) in [
        (account("lena@corp.example"), "lena@corp.example"),
        // A unit has no way to say these, or says something else by them.
        (account("CORP\\lena"), uid.as_str()),
        (account("lena%h"), &uid),
        (String::new(), &uid),
    ] {
        let said = knowing(&accounts, "", &systemd).ok();
        // The service must be able to ask, too.
        assert!(
            said.stdout.contains("\nRestrictAddressFamilies=AF_UNIX\n"),
            "{said}"
        );
        assert!(
            said.stdout.contains(&format!("\nUser={user}\n")),
            "{accounts}: {said}"
        );
    }
    let said = knowing("", "", &["config", "cron"]).exits(1);
    assert!(said.stderr.contains("pki config systemd"), "{said}");
    knowing(&account("lena"), "", &["config", "cron"]).ok();

    let web = home.path("web").display().to_string();
    for (named, groups, code) in [
        ("corp-web", format!("corp-web:x:{gid}:\n"), 0),
        ("corp-web", String::new(), 5),
        (gid.as_str(), String::new(), 0),
    ] {
        home.configure_table("");
        let toml = std::fs::read_to_string(home.home().join("pki.toml")).unwrap();
        let toml = toml.split("[[publish]]\nserver").next().unwrap();
        let table = format!("{toml}[[publish]]\nserver = \"{web}/server\"\ngroup = \"{named}\"\n");
        std::fs::write(home.home().join("pki.toml"), table).unwrap();
        let _ = std::fs::remove_dir_all(home.path("web"));
        std::fs::create_dir(home.path("web")).unwrap();
        let said = knowing("", &groups, &["publish"]).exits(code);
        assert_eq!(
            said.stderr.contains("there is no group corp-web"),
            code == 5,
            "{said}"
        );
    }
}

#[test]
fn what_issuing_left_that_was_cut_off_is_swept_by_the_next() {
    if !need(&["openssl", "strace"]) {
        return;
    }
    let home = Home::new();
    std::fs::create_dir(home.path("out")).unwrap();
    let arguments = |who: &'static str, secret: &'static str| {
        [
            "issue",
            who,
            "--for",
            "ios",
            "--qr",
            "bundle",
            "--out",
            "out",
            "--bundle-passphrase-out",
            secret,
        ]
    };
    // Killed when the files of the bundle get their names.
    let command = home.pki(&arguments("alice", "first"));
    let mut strace = program("strace");
    strace.args([
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=renameat2",
        "-e",
        "inject=renameat2:signal=SIGKILL:when=3",
    ]);
    strace.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    let ended = finish(strace.current_dir(home.path("")), b"");
    assert_eq!(ended.code, None, "{ended}");
    let left = files_below(&home.path("out"));
    assert!(
        left.iter().any(|name| name.starts_with(".alice-phone.p12.")),
        "{left:?}"
    );

    // What only looks like it, or is written by somebody who is at work, stays.
    let other = ".notes.txt.0123456789ab.tmp";
    std::fs::write(home.path("out").join(other), "mine").unwrap();
    std::fs::create_dir(home.path("out/.x.p12.0123456789ab.tmp")).unwrap();
    let directory = File::open(home.path("out")).unwrap();
    rustix::fs::flock(&directory, rustix::fs::FlockOperation::LockShared).unwrap();
    home.run(&arguments("bob", "second"));
    let now = files_below(&home.path("out"));
    assert!(left.iter().all(|name| now.contains(name)), "{now:?}");
    drop(directory);
    home.run(&arguments("carol", "third"));
    let now = files_below(&home.path("out"));
    let staged: Vec<&String> = now.iter().filter(|name| name.ends_with(".tmp")).collect();
    assert_eq!(staged, [other]);
    assert!(home.path("out/.x.p12.0123456789ab.tmp").is_dir());
}

#[test]
fn the_line_for_a_crontab_has_no_percent_sign_that_ends_it() {
    let home = Home::unfounded();
    let place = home.path("100%mobile");
    let said = finish(home.pki(&INIT).env("PKI_HOME", &place), b"").ok();
    let mut lines = said.stderr.lines();
    let line = lines.find(|line| line.trim_start().starts_with("17 ")).unwrap();
    assert!(
        line.contains("100\\%mobile") && !line.replace("\\%", "").contains('%'),
        "{line}"
    );
}
