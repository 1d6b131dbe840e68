//! The program `age` opens what is encrypted here, and the other way round.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use pki::age::{AgeError, FileKey, Identity, Lock, Sealed, WorkFactor, Writer};
use pki::key::{Passphrase, os_rng};
use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};
use zeroize::Zeroizing;

use crate::support::{finish, need, program};

const PASSPHRASE: &str = "correct horse battery";

/// Two whole chunks and a part of one.
fn content() -> Vec<u8> {
    (0..150_000_u32).map(|number| (number % 251) as u8).collect()
}

/// A directory with an identity that `age-keygen` made.
struct Ground {
    directory: tempfile::TempDir,
    identities: Vec<Identity>,
}

impl Ground {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("identity");
        finish(program("age-keygen").arg("-o").arg(&path), b"").ok();
        let identities = Identity::all_in(&std::fs::read_to_string(path).unwrap()).unwrap();
        Self {
            directory,
            identities,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn recipient(&self) -> String {
        self.identities[0].recipient().to_string()
    }

    /// Runs `age` and demands that it ends well.
    fn age(&self, arguments: &[&str]) {
        finish(program("age").current_dir(&self.directory).args(arguments), b"").ok();
    }

    /// Runs `age` at a terminal of its own.
    fn age_asks(&self, arguments: &[&str]) -> PtySession {
        let age = program("age");
        let mut command = Command::new(age.get_program());
        command.args(arguments).current_dir(&self.directory);
        spawn_with_options(command, Options::new().timeout_ms(Some(60_000))).unwrap()
    }

    fn read(&self, name: &str, key: impl Fn(&Sealed<std::fs::File>) -> Result<FileKey, AgeError>) -> Vec<u8> {
        let sealed = Sealed::read(std::fs::File::open(self.path(name)).unwrap()).unwrap();
        let key = key(&sealed).unwrap();
        let mut read = Vec::new();
        sealed.open(&key).unwrap().read_to_end(&mut read).unwrap();
        read
    }
}

fn passphrase() -> Passphrase {
    Passphrase::from_octets(Zeroizing::new(PASSPHRASE.into())).unwrap()
}

fn put(path: &Path, mut writer: Writer<Vec<u8>>) {
    writer.write_all(&content()).unwrap();
    let (file, _) = writer.finish().unwrap();
    std::fs::write(path, file).unwrap();
}

#[test]
fn age_opens_what_is_encrypted_to_a_recipient_of_its_own() {
    if !need(&["age", "age-keygen"]) {
        return;
    }
    let ground = Ground::new();
    // What age-keygen says of an identity is what follows from it.
    let said = finish(program("age-keygen").arg("-y").arg(ground.path("identity")), b"").ok();
    assert_eq!(said.stdout.trim_end(), ground.recipient());
    let to = [
        Identity::generate(&mut os_rng()).recipient(),
        ground.identities[0].recipient(),
    ];
    put(
        &ground.path("file.age"),
        Writer::to_recipients(Vec::new(), &to, &mut os_rng()).unwrap(),
    );
    ground.age(&["-d", "-i", "identity", "-o", "opened", "file.age"]);
    assert!(std::fs::read(ground.path("opened")).unwrap() == content());
}

#[test]
fn what_age_encrypts_to_a_recipient_is_opened_in_both_forms() {
    if !need(&["age", "age-keygen"]) {
        return;
    }
    let ground = Ground::new();
    std::fs::write(ground.path("plain"), content()).unwrap();
    let other = Identity::generate(&mut os_rng()).recipient().to_string();
    for form in [&[][..], &["-a"]] {
        let recipient = ground.recipient();
        let arguments = ["-r", &other, "-r", &recipient, "-o", "file.age", "plain"];
        ground.age(&[form, &arguments].concat());
        let read = ground.read("file.age", |sealed| {
            assert_eq!(sealed.lock(), Lock::Recipients);
            sealed.unlock_with_identities(&ground.identities)
        });
        assert!(read == content(), "{form:?}");
    }
}

/// An identity that is made here opens what `age` encrypts to its recipient.
#[test]
fn age_knows_identities_that_are_made_here() {
    if !need(&["age", "age-keygen"]) {
        return;
    }
    let ground = Ground::new();
    let made = Identity::generate(&mut os_rng());
    std::fs::write(ground.path("plain"), content()).unwrap();
    ground.age(&["-r", &made.recipient().to_string(), "-o", "file.age", "plain"]);
    let identities = [made];
    let read = ground.read("file.age", |sealed| sealed.unlock_with_identities(&identities));
    assert!(read == content());
}

#[test]
fn age_opens_what_is_encrypted_with_a_passphrase() {
    if !need(&["age", "age-keygen"]) {
        return;
    }
    let ground = Ground::new();
    let work = WorkFactor::USUAL;
    put(
        &ground.path("file.age"),
        Writer::to_passphrase(Vec::new(), &passphrase(), work, &mut os_rng()).unwrap(),
    );
    let mut age = ground.age_asks(&["-d", "-o", "opened", "file.age"]);
    age.exp_string("passphrase").unwrap();
    age.send_line(PASSPHRASE).unwrap();
    let said = age.exp_eof().unwrap();
    assert!(
        std::fs::read(ground.path("opened")).ok() == Some(content()),
        "{said}"
    );
}

#[test]
fn what_age_encrypts_with_a_passphrase_is_opened() {
    if !need(&["age", "age-keygen"]) {
        return;
    }
    let ground = Ground::new();
    std::fs::write(ground.path("plain"), content()).unwrap();
    let mut age = ground.age_asks(&["-p", "-o", "file.age", "plain"]);
    age.exp_string("passphrase").unwrap();
    age.send_line(PASSPHRASE).unwrap();
    age.exp_string("onfirm passphrase").unwrap();
    age.send_line(PASSPHRASE).unwrap();
    age.exp_eof().unwrap();
    let read = ground.read("file.age", |sealed| {
        assert_eq!(sealed.lock(), Lock::Passphrase);
        sealed.unlock_with_passphrase(&passphrase())
    });
    assert!(read == content());
}
