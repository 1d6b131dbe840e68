//! Devices that renew themselves: `pki renew --est` against the service, where it is due and where it is not,
//! killed at each of its steps, and refused; and what is left for the operator.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use super::{Serving, later, live_at, with_est};
use crate::support::{Finished, HOST, finish, free_port, is_root, need, program};

/// When certificates of 90 days are due.
const DUE: &str = "+65d";
/// The root that devices know.
const ROOT: &str = "home/public/ca/root.crt";

impl Serving {
    /// A device with a certificate of 90 days in NAME.pem, and its key in NAME.key.
    fn enrolled(&self, port: u16, name: &str) {
        let invite = self.invite(&[name, "--days", "90"]);
        let right = format!("user = \"{}:{}\"\n", invite.word("id"), invite.word("secret"));
        let (status, body) = self.simple_enroll(port, &right, &self.request(name));
        assert_eq!(status, 200, "{body}");
        self.unpacked(&body, &format!("{name}.pem"));
    }

    /// The command by which the device renews itself, at the time of the service.
    fn renew(&self, port: u16, name: &str, more: &[&str]) -> Command {
        let mut command = self.renewal(ROOT, port, name, more);
        live_at(self.ahead, &mut command);
        command
    }

    /// As [`Self::renew`], with this root, and at the time that it is.
    fn renewal(&self, root: &str, port: u16, name: &str, more: &[&str]) -> Command {
        let (url, at) = (
            format!("https://{HOST}:{port}"),
            format!("{HOST}:{port}:127.0.0.1"),
        );
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        let mut all = vec!["renew", "--est", &url, "--resolve", &at, "--cert", &certificate];
        all.extend(["--key", &key, "--root", root]);
        all.extend(more);
        self.home.pki(&all)
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.home.path(file)).unwrap()
    }

    fn serial(&self, name: &str) -> String {
        let file = format!("{name}.pem");
        let said = self
            .home
            .foreign("openssl", &["x509", "-in", &file, "-noout", "-serial"])
            .ok();
        said.stdout.trim().trim_start_matches("serial=").to_owned()
    }

    /// Whether certificate and key belong together.
    fn is_pair(&self, name: &str, passphrase: &str) -> bool {
        let pass = format!("pass:{passphrase}");
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        let public = |arguments: &[&str]| self.home.foreign("openssl", arguments).ok().stdout;
        public(&["x509", "-in", &certificate, "-noout", "-pubkey"])
            == public(&["pkey", "-in", &key, "-passin", &pass, "-pubout"])
    }

    fn left_beside(&self, name: &str) -> Vec<String> {
        let is_left =
            |file: &String| file.contains(name) && (file.contains(".new") || file.ends_with(".tmp"));
        let files = std::fs::read_dir(self.home.path("")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(is_left).collect()
    }
}

#[test]
fn a_device_renews_itself_when_it_is_due_and_not_before() {
    if !need(&["faketime"]) {
        return;
    }
    let Some((serving, port)) = with_est() else { return };
    serving.enrolled(port, "alice");
    let before = serving.text("alice.pem");
    // Nobody is asked before.
    let early = finish(
        &mut serving.renew(free_port(), "alice", &["--exec", "echo run >> runs"]),
        b"",
    )
    .ok();
    assert!(
        early
            .stderr
            .starts_with("pki: nothing to do: alice.pem is good until "),
        "{early}"
    );
    assert_eq!(
        (serving.text("alice.pem"), serving.left_beside("alice").len()),
        (before, 0)
    );

    // What would fail on the day on which it is due is told now.
    serving.request("other");
    std::fs::copy(serving.home.path("alice.pem"), serving.home.path("other.pem")).unwrap();
    let said = finish(&mut serving.renew(free_port(), "other", &[]), b"").exits(1);
    assert!(said.stderr.contains("other.key"), "{said}");
    let said = finish(&mut serving.renewal("server.crt", free_port(), "alice", &[]), b"").exits(1);
    assert!(said.stderr.contains("server.crt"), "{said}");

    let Some((serving, port)) = later(serving, DUE) else {
        return;
    };
    let first = serving.serial("alice");
    // A chain stays one, and a key in SEC1 is read.
    let ca = serving.text("home/public/ca/issuing.crt");
    std::fs::write(serving.home.path("alice.pem"), serving.text("alice.pem") + &ca).unwrap();
    let made = "umask 077; openssl pkey -in alice.key -traditional -out sec1; mv sec1 alice.key";
    serving.home.foreign("sh", &["-e", "-c", made]).ok();
    assert!(serving.text("alice.key").contains("BEGIN EC PRIVATE KEY"));

    let exec = ["--exec", "echo run >> runs; test -e fit"];
    let trial = finish(&mut serving.renew(port, "alice", &["--dry-run"]), b"").ok();
    assert!(trial.stderr.starts_with("pki: would renew alice.pem"), "{trial}");
    assert_eq!(
        (serving.serial("alice"), serving.left_beside("alice").len()),
        (first.clone(), 0)
    );
    let said = finish(&mut serving.renew(port, "alice", &exec), b"").exits(5);
    assert!(said.stderr.contains("alice.pem is new, and `echo run"), "{said}");
    assert_ne!(serving.serial("alice"), first);
    assert!(serving.text("alice.pem").ends_with(&ca));
    assert!(serving.is_pair("alice", "") && serving.left_beside("alice").is_empty());
    // What failed is run again, and once.
    std::fs::write(serving.home.path("fit"), "").unwrap();
    for _ in 0..2 {
        let said = finish(&mut serving.renew(port, "alice", &exec), b"").ok();
        assert!(said.stderr.contains("nothing to do"), "{said}");
    }
    assert_eq!(serving.text("runs").lines().count(), 2);
    // A key that was left by a renewal which came to nothing waits.
    serving.request("waiting");
    let waiting = serving.text("waiting.key");
    serving.home.write_private("alice.key.new", &waiting);
    let said = finish(&mut serving.renew(free_port(), "alice", &[]), b"").ok();
    assert!(said.stderr.contains("nothing to do"), "{said}");
    assert_eq!(serving.left_beside("alice"), ["alice.key.new"]);
    // The service knows the new one.
    let (status, told) = serving.reenroll(port, "alice", &serving.request("other"));
    assert!(
        status == 403 && told.starts_with("this certificate can be renewed from "),
        "{told}"
    );
}

#[test]
fn a_renewal_keeps_a_key_encrypted_and_whose_it_is_and_comes_again_where_somebody_hangs_up() {
    if !need(&["faketime"]) {
        return;
    }
    let Some((serving, port)) = with_est() else { return };
    for name in ["bob", "carol"] {
        serving.enrolled(port, name);
    }
    let Some((serving, port)) = later(serving, DUE) else {
        return;
    };
    serving.home.write_private("secret", "correct horse battery\n");
    let made =
        "umask 077; openssl pkcs8 -topk8 -in bob.key -passout file:secret -out sealed; mv sealed bob.key";
    serving.home.foreign("sh", &["-e", "-c", made]).ok();
    let owner = |file: &str| std::fs::metadata(serving.home.path(file)).unwrap().uid();
    let theirs = if is_root() { 65534 } else { owner("bob.key") };
    for file in ["bob.key", "bob.pem"] {
        std::os::unix::fs::chown(serving.home.path(file), Some(theirs), None).unwrap();
    }
    let renew = |more: &[&str]| {
        finish(
            &mut serving.renew(port, "bob", &[&["--passphrase-file", "secret"], more].concat()),
            b"",
        )
    };
    serving.home.write_private("secret", "another horse battery\n");
    let said = renew(&[]).exits(4);
    assert!(
        said.stderr.contains("bob.key does not open with this passphrase"),
        "{said}"
    );
    assert_eq!(serving.left_beside("bob"), [""; 0]);
    serving.home.write_private("secret", "correct horse battery\n");
    let said = renew(&["--json"]).ok().json();
    assert_eq!(
        (&said["renewed"], &said["version"]),
        (&true.into(), &1.into()),
        "{said}"
    );
    let key = serving.text("bob.key");
    assert!(key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{key}");
    assert!(serving.is_pair("bob", "correct horse battery"));
    assert_eq!([owner("bob.key"), owner("bob.pem")], [theirs; 2]);
    // It is not due any more: no passphrase is needed.
    serving.home.write_private("secret", "another horse battery\n");
    renew(&[]).ok();
    assert_eq!(serving.text("bob.key"), key);

    // Somebody is there who hangs up on the first who comes.
    let front = Front::before(port, 1);
    let said = finish(&mut serving.renew(front, "carol", &["--jitter", "1s"]), b"").ok();
    assert!(said.stderr.contains("carol.pem and carol.key are new"), "{said}");
    assert!(serving.is_pair("carol", ""));
}

/// Somebody who hands on to a service what comes, and hangs up on the first ones.
struct Front;

impl Front {
    fn before(port: u16, lost: usize) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let front = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for (count, came) in listener.incoming().map_while(Result::ok).enumerate() {
                let Some(to) = (count >= lost).then(|| TcpStream::connect(("127.0.0.1", port))) else {
                    continue;
                };
                let to = to.unwrap();
                hand_on(came.try_clone().unwrap(), to.try_clone().unwrap());
                hand_on(to, came);
            }
        });
        front
    }
}

fn hand_on(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let mut octets = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut octets) {
            if to.write_all(&octets[..count]).is_err() {
                break;
            }
        }
        // Where the other side is gone there is nobody to tell.
        let _ = to.shutdown(Shutdown::Both);
    });
}

#[test]
fn what_is_refused_is_said_in_the_services_words_and_changes_nothing() {
    if !need(&["faketime"]) {
        return;
    }
    let Some((serving, port)) = with_est() else { return };
    for name in ["alice", "bob"] {
        serving.enrolled(port, name);
    }
    let Some((serving, port)) = later(serving, DUE) else {
        return;
    };
    let pair = |name: &str| [".pem", ".key"].map(|ending| serving.text(&format!("{name}{ending}")));
    let [alice, bob] = ["alice", "bob"].map(pair);
    let fails = |name: &str, port: u16, more: &[&str], code: i32| {
        let said = finish(&mut serving.renew(port, name, more), b"").exits(code);
        assert_eq!(
            (pair("alice"), pair("bob")),
            (alice.clone(), bob.clone()),
            "{said}"
        );
        said.stderr
    };

    // Another root: nothing is sent, and no key is made.
    let ledger = serving.ledger();
    let foreign = r#"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=Other -days 900
        -addext keyUsage=critical,keyCertSign -keyout other-root.key -out other-root.pem"#;
    serving
        .home
        .foreign("sh", &["-e", "-c", &foreign.replace('\n', " ")])
        .ok();
    let mut stranger = serving.renewal("other-root.pem", port, "alice", &[]);
    live_at(DUE, &mut stranger);
    let said = finish(&mut stranger, b"").exits(1);
    assert!(
        said.stderr
            .contains("no certificate in other-root.pem vouches for it")
            && said.stderr.contains("nothing was sent"),
        "{said}"
    );
    assert_eq!(
        (serving.ledger(), serving.left_beside("alice").len()),
        (ledger, 0)
    );

    let told = fails("alice", free_port(), &["--timeout", "2s"], 1);
    assert!(told.contains("nobody listens at "), "{told}");
    // The page is another face, which browsers trust.
    let page = serving.server.port;
    let told = fails("alice", page, &[], 1);
    assert!(
        told.contains("no certificate in home/public/ca/root.crt vouches for it"),
        "{told}"
    );
    // One who is not from here does not get as far as a request.
    let self_made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj /CN=eve -days 1 -keyout eve.key -out eve.pem";
    serving.home.foreign("sh", &["-e", "-c", self_made]).ok();
    let told = fails("eve", port, &[], 1);
    assert!(told.contains("the server broke the connection off"), "{told}");
    assert_eq!(serving.left_beside("eve").len(), 0);

    std::fs::write(serving.home.path("both.pem"), alice.concat()).unwrap();
    std::fs::copy(serving.home.path("alice.key"), serving.home.path("both.key")).unwrap();
    let told = fails("both", port, &[], 1);
    assert!(
        told.contains("both.pem holds the key as well as the certificate"),
        "{told}"
    );

    finish(&mut serving.home.pki_at(DUE, &["revoke", "alice", "--yes"]), b"").ok();
    for kept in [false, true] {
        let told = fails("alice", port, &[], 1);
        assert!(
            told.contains("refuses (status 403): this certificate is revoked") && told.contains("an invite"),
            "{told}"
        );
        assert_eq!(told.contains("alice.key.new"), kept, "{told}");
    }
}

/// A command as strace runs it, when it is due. Around it is faketime, which takes away what a program that
/// is killed would leave in /dev/shm: a later faketime of the same number would not start.
fn under_strace(command: &Command, arguments: &[&str]) -> Finished {
    let mut faketime = program("faketime");
    faketime
        .args(["-f", DUE, "strace", "-qq"])
        .args(arguments)
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => faketime.env(name, value),
            None => faketime.env_remove(name),
        };
    }
    faketime
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    finish(&mut faketime, b"")
}

/// Every call by which something gets to a disk, or away from it.
const DURABLE: [&str; 6] = ["write", "fsync", "fdatasync", "rename", "renameat2", "unlinkat"];

#[test]
fn a_renewal_that_is_killed_at_any_step_is_finished_by_the_next() {
    if !need(&["faketime", "strace"]) {
        return;
    }
    let Some((serving, port)) = with_est() else { return };
    serving.enrolled(port, "alice");
    let Some((serving, port)) = later(serving, DUE) else {
        return;
    };
    const FILES: [&str; 3] = ["alice.pem", "alice.key", "alice.key.new"];
    let read = || FILES.map(|file| std::fs::read_to_string(serving.home.path(file)).ok());
    let lay = |files: &[Option<String>; 3]| {
        for file in serving.left_beside("alice") {
            std::fs::remove_file(serving.home.path(file)).unwrap();
        }
        for (name, text) in FILES.iter().zip(files) {
            if let Some(text) = text {
                serving.home.write_private(name, text);
            }
        }
    };
    // Whether there was such a step to be killed at.
    let killed = |call: &str, step: usize| {
        let inject = format!("{call}:signal=SIGKILL:when={step}");
        let (trace, inject) = (format!("trace={call}"), format!("inject={inject}"));
        let arguments = ["-o", "/dev/null", "-e", &trace, "-e", &inject];
        let ended = under_strace(&serving.renewal(ROOT, port, "alice", &[]), &arguments);
        let was_killed = ended.stderr.contains("Caught Killed");
        assert!(was_killed || ended.code == Some(0), "{ended}");
        was_killed
    };
    let plain = read();
    // Before the new key is on disk nothing is sent: the service would take no other one later.
    let mut begun = None;
    for step in 1.. {
        lay(&plain);
        assert!(killed("fsync", step), "no step left a new key");
        let now = read();
        assert_eq!(now[..2], plain[..2]);
        if now[2].is_some() {
            begun = Some(now);
            break;
        }
    }
    let begun = begun.unwrap();
    let (mut steps, mut exchanged, mut cut) = (0, 0, 0);
    let mut new = None;
    for call in DURABLE {
        for step in 1.. {
            lay(&begun);
            if !killed(call, step) {
                break;
            }
            steps += 1;
            let left = read();
            cut += usize::from(!serving.is_pair("alice", ""));
            exchanged += usize::from(left[1] == begun[2]);
            finish(&mut serving.renew(port, "alice", &[]), b"").ok();
            let done = read();
            assert!(
                serving.is_pair("alice", "") && done[1] == begun[2],
                "{call} {step}"
            );
            assert_eq!(serving.left_beside("alice"), [""; 0], "{call} {step}");
            // The same key gets the same certificate.
            assert_eq!(
                new.get_or_insert_with(|| done[0].clone()),
                &done[0],
                "{call} {step}"
            );
        }
    }
    assert!(
        cut <= 1,
        "no pair after {cut} steps, and two renames have one moment between them"
    );
    assert!(steps > 8, "only {steps} steps");
    assert!(
        exchanged > 1,
        "killed only {exchanged} times after the exchange had begun"
    );
}

/// A kill leaves what was written, and a power cut what was synced alone.
#[test]
fn the_new_key_is_synced_before_it_is_sent_and_both_files_before_they_are_exchanged() {
    if !need(&["faketime", "strace"]) {
        return;
    }
    let Some((serving, port)) = with_est() else { return };
    serving.enrolled(port, "alice");
    let Some((serving, port)) = later(serving, DUE) else {
        return;
    };
    let trace = ["-y", "-o", "log", "-e", "trace=fsync,rename,renameat2,sendto"];
    under_strace(&serving.renewal(ROOT, port, "alice", &[]), &trace).ok();
    let log = serving.text("log");
    let directory = format!("<{}>)", serving.home.path("").canonicalize().unwrap().display());
    // The letters of what matters, in the order in which it happened.
    let step = |line: &str| match line {
        line if line.starts_with("sendto(") => Some('>'),
        line if line.starts_with("fsync(") && line.contains(&directory) => Some('D'),
        line if line.starts_with("fsync(") => Some('F'),
        line if line.starts_with("renameat2(") && line.contains("alice.key.new\"") => Some('k'),
        line if line.starts_with("renameat2(") && line.contains("alice.pem.new\"") => Some('c'),
        line if line.starts_with("rename(") && line.contains("alice.key\"") => Some('K'),
        line if line.starts_with("rename(") && line.contains("alice.pem\"") => Some('C'),
        _ => None,
    };
    let mut steps: Vec<char> = log.lines().filter_map(step).collect();
    // How often something is sent in a row is of no matter.
    steps.dedup_by(|next, last| next == last && *next == '>');
    let steps: String = steps.into_iter().collect();
    assert!(
        [">FkD>FcDKCDD", ">FkD>FcDKCDD>"].contains(&&*steps),
        "{steps}\n{log}"
    );
}

#[test]
fn the_operator_passes_over_who_renews_itself() {
    if !need(&["faketime"]) {
        return;
    }
    let Some((serving, port)) = with_est() else { return };
    for name in ["alice", "bob"] {
        serving.enrolled(port, name);
    }
    let home = &serving.home;
    serving.request("carol");
    home.run(&["issue", "carol", "--csr", "carol.csr", "--days", "90"]);
    home.run(&[
        "issue",
        "dave",
        "--days",
        "90",
        "--bundle-passphrase-out",
        "dave.passphrase",
    ]);
    let Some((serving, port)) = later(serving, DUE) else {
        return;
    };
    finish(&mut serving.renew(port, "alice", &[]), b"").ok();
    let Some((serving, _)) = later(serving, "+88d") else {
        return;
    };
    let all = [
        "renew",
        "--expiring",
        "60d",
        "--dry-run",
        "--bundle-passphrase-out",
        "list",
    ];
    let at = |ahead: &'static str, more: &[&str]| {
        finish(&mut serving.home.pki_at(ahead, &[&all[..], more].concat()), b"").exits(5)
    };
    let said = at("+88d", &[]).stderr;
    let own = |name: &str| {
        format!("{name}/phone made its own key: renew it with `pki renew {name}/phone --csr FILE`")
    };
    let enrolled = |name: &str| {
        format!(
            "{name}/phone enrolled by itself: invite it anew with `pki invite create {name}/phone --replace`"
        )
    };
    assert!(said.contains(&own("carol")), "{said}");
    assert!(
        said.contains("passed over 1 device: enrolled by an invite or renewed without you"),
        "{said}"
    );
    assert!(!said.contains("alice") && !said.contains("bob"), "{said}");
    let said = at("+88d", &["--all"]).stderr;
    assert!(
        said.contains(&enrolled("bob")) && !said.contains("passed over"),
        "{said}"
    );
    // Who has come too late renews no more.
    let said = at("+120d", &["--confirm", "CLOCK"]).stderr;
    assert!(
        said.contains(&enrolled("bob")) && said.contains("passed over 1 device"),
        "{said}"
    );
    let invite = ["invite", "create", "bob/phone", "--replace", "--json"];
    finish(&mut serving.home.pki_at("+88d", &invite), b"").ok();
}
