//! A home as `pki init` makes it, in a directory of its own.
//!
//! Founding a home costs several rounds of scrypt, so that it is done once for a run of the tests and copied
//! from then on. The keys of the copies open at once: what scrypt costs would be paid a thousand times, and
//! is tested where a home was [`Home::founded`] for it.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::copy::{files_below, reseal};
use super::fleet::fill;
use super::program::{Finished, finish, found, program};
use super::server::HOST;

/// The program under test.
pub const PKI: &str = env!("CARGO_BIN_EXE_pki");
/// The passphrase of the issuing key in every home of the tests.
pub const ISSUING_PASSPHRASE: &str = "issuing: orbit-velvet-canyon-17";
/// The passphrase of the root's key in every home of the tests.
pub const ROOT_PASSPHRASE: &str = "root: marble-lantern-thicket-42";

/// The words for reasons, each with the reasonCode (RFC 5280 §5.3.1) that OpenSSL must show; none without
/// one.
pub const REASONS: [(&str, Option<&str>); 6] = [
    ("lost", Some("Key Compromise")),
    ("stolen", Some("Key Compromise")),
    ("compromised", Some("Key Compromise")),
    ("left", Some("Affiliation Changed")),
    ("replaced", Some("Superseded")),
    ("unspecified", None),
];

/// How many devices a home has that is [`Home::crowded`], beside alice's and bob's.
pub const FLEET: u64 = 10_000;

/// A home, the passphrase files beside it, and room for what a test makes. It is gone when the test ends.
pub struct Home {
    directory: TempDir,
}

/// A bundle that `pki issue` made.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The file `.p12`.
    pub p12: PathBuf,
    /// The file with its passphrase, and nothing else in it.
    pub passphrase: PathBuf,
    /// The certificate's serial number: 32 hexadecimal digits, upper-case.
    pub serial: String,
    /// Every file that the program says it made.
    pub files: Vec<PathBuf>,
}

/// The homes that are made once.
#[derive(Clone, Copy)]
enum Model {
    /// As founded, with a `base_url`.
    Served,
    /// As founded, without a `base_url`.
    Bare,
    /// `Served`, with a bundle for alice/phone (name and e-mail address) and one for bob/phone (neither).
    Staffed,
    /// `Staffed`, with so many devices more that lists of them are long, and published.
    Crowded,
    /// `Served`, with a phone revoked for each of [`REASONS`], of an employee of that name.
    Leavers,
    /// `Served`, with the server [`HOST`], whose key is in `tls`.
    WithServer,
    /// `WithServer`, with a certificate of the servers' CA beside the key.
    Certified,
}

impl Home {
    /// A home that was founded just now, with its keys as `pki init` encrypts them.
    pub fn founded() -> Self {
        founded(&[])
    }

    /// A home that was founded with `--base-url http://pki.acme.example`.
    pub fn new() -> Self {
        Self::copy_of(Model::Served)
    }

    /// A home that was founded without a `base_url`.
    pub fn bare() -> Self {
        Self::copy_of(Model::Bare)
    }

    /// A home that has issued to [`Self::alice`] and [`Self::bob`].
    pub fn staffed() -> Self {
        Self::copy_of(Model::Staffed)
    }

    /// As [`Self::staffed`], with [`FLEET`] devices more: the lists of devices are long.
    pub fn crowded() -> Self {
        Self::copy_of(Model::Crowded)
    }

    /// A home that has revoked the phone of an employee `lost` because it was lost, and so on with all
    /// [`REASONS`].
    pub fn of_leavers() -> Self {
        Self::copy_of(Model::Leavers)
    }

    /// A home that has taken in the server [`HOST`], with its key in `tls`.
    pub fn with_server() -> Self {
        Self::copy_of(Model::WithServer)
    }

    /// As [`Self::with_server`], with a certificate of the servers' CA beside that key.
    pub fn with_certified_server() -> Self {
        Self::copy_of(Model::Certified)
    }

    /// A directory with the passphrase files and no home in it yet.
    pub fn unfounded() -> Self {
        let home = Self {
            directory: TempDir::new().unwrap(),
        };
        home.write_private("issuing-passphrase", ISSUING_PASSPHRASE);
        home.write_private("root-passphrase", ROOT_PASSPHRASE);
        home
    }

    fn copy_of(model: Model) -> Self {
        let home = Self {
            directory: TempDir::new().unwrap(),
        };
        let shelf = Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(shelf).unwrap();
        // Every test may be a process of its own. The first makes the home, the others wait for it.
        let lock = File::create(shelf.join(format!("{}.lock", model.name()))).unwrap();
        lock.lock().unwrap();
        let place = shelf.join(model.name());
        let stamp = shelf.join(format!("{}.stamp", model.name()));
        if !is_fresh(&stamp) {
            if place.exists() {
                std::fs::remove_dir_all(&place).unwrap();
            }
            let made = model.make();
            copy(made.directory.path(), &place);
            std::fs::write(&stamp, binary_stamp()).unwrap();
        }
        copy(&place, home.directory.path());
        home.settle();
        home
    }

    /// With its keys encrypted anew, so that they open at once, where there is OpenSSL to do it.
    pub fn opening_at_once(self) -> Self {
        if found("openssl").is_some() {
            let all = files_below(&self.home());
            for key in all.iter().filter(|file| file.ends_with(".key")) {
                let passphrase = if key.starts_with("root/") {
                    ROOT_PASSPHRASE
                } else {
                    ISSUING_PASSPHRASE
                };
                reseal(&self, &self.home().join(key), passphrase);
            }
        }
        self
    }

    /// Has the home know that it is here, and has been all along: otherwise the first command writes it down,
    /// and a command that is refused must change nothing.
    fn settle(&self) {
        let note = self.home().join("residence.json");
        let mut said: Value = serde_json::from_slice(&std::fs::read(&note).unwrap()).unwrap();
        said["path"] = self.home().canonicalize().unwrap().to_str().unwrap().into();
        std::fs::write(&note, said.to_string()).unwrap();
    }

    /// Where the home is.
    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    /// A file beside the home, in the directory that programs are run in.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file of the publication's public half.
    pub fn public(&self, name: &str) -> PathBuf {
        self.home().join("public").join(name)
    }

    /// A file of the publication's half for servers.
    pub fn server(&self, name: &str) -> PathBuf {
        self.home().join("server").join(name)
    }

    /// Writes a file beside the home, mode 0600.
    pub fn write_private(&self, name: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Rewrites the ledger as whoever can write to the home might: its chain, and all that follows from it,
    /// are right afterwards. Lines that are not changed stay as they are, octet by octet.
    pub fn rewrite_ledger(&self, change: impl FnOnce(&mut Vec<Value>)) {
        let place = self.home().join("ledger.jsonl");
        let text = std::fs::read_to_string(&place).unwrap();
        let before: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut events = before.clone();
        change(&mut events);
        let (mut previous, mut written): (Option<Value>, String) = (None, String::new());
        for (i, mut event) in events.into_iter().enumerate() {
            let is_same = before.get(i) == Some(&event)
                && previous
                    .as_ref()
                    .is_none_or(|previous| event["prev"] == *previous);
            let line = if is_same {
                text.lines().nth(i).unwrap().to_owned()
            } else {
                let members = event.as_object_mut().unwrap();
                members.remove("sha");
                if let Some(previous) = &previous {
                    members.insert("prev".into(), previous.clone());
                }
                members.insert("seq".into(), (i + 1).into());
                let said = event.to_string();
                let said = said.strip_suffix('}').unwrap();
                let sha = data_encoding::HEXLOWER.encode(&Sha256::digest(said));
                format!("{said},\"sha\":\"{sha}\"}}")
            };
            let sha = serde_json::from_str::<Value>(&line).unwrap()["sha"].clone();
            previous = Some(sha);
            written.push_str(&line);
            written.push('\n');
        }
        std::fs::write(&place, written).unwrap();
        std::fs::remove_dir_all(self.home().join("index")).unwrap();
    }

    /// Sets a key of `pki.toml`, or a `table.key`, by the line that stands for it there.
    pub fn configure(&self, key: &str, value: &str) {
        let path = self.home().join("pki.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let is_key = |line: &&str| line.trim_start_matches("# ").starts_with(&format!("{key} = "));
        let line = text
            .lines()
            .find(is_key)
            .unwrap_or_else(|| panic!("pki.toml explains no {key}: {text}"));
        let text = text.replacen(line, &format!("{key} = {value}"), 1);
        std::fs::write(&path, text).unwrap();
    }

    /// Adds tables at the end of `pki.toml`.
    pub fn configure_table(&self, table: &str) {
        let path = self.home().join("pki.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}\n{table}")).unwrap();
    }

    /// The program under test, on this home, with both passphrases from their files and no terminal.
    pub fn pki(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PKI);
        self.prepare(&mut command);
        command.args(arguments);
        command
    }

    /// As [`Self::pki`], at another time: `offset` as faketime reads it, `+31d`.
    pub fn pki_at(&self, offset: &str, arguments: &[&str]) -> Command {
        let mut command = program("faketime");
        // The clock of waits stays real: only the date is another.
        command
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
        command.args(["-f", offset, PKI]);
        self.prepare(&mut command);
        command.args(arguments);
        command
    }

    /// As [`Self::pki`], by an account that is not root and owns nothing that root has made.
    pub fn pki_as_nobody(&self, arguments: &[&str]) -> Command {
        // Where that account can reach it.
        std::fs::copy(PKI, self.path("pki")).unwrap();
        let mut command = Command::new(if is_root() { "setpriv" } else { "env" });
        self.prepare(&mut command);
        let mut by_nobody = Command::new(command.get_program());
        if is_root() {
            by_nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        by_nobody
            .arg(self.path("pki"))
            .args(command.get_args())
            .args(arguments);
        by_nobody.current_dir(self.directory.path());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => by_nobody.env(name, value),
                None => by_nobody.env_remove(name),
            };
        }
        by_nobody
    }

    fn prepare(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PKI_") {
                command.env_remove(name);
            }
        }
        command
            .env_remove("CREDENTIALS_DIRECTORY")
            .env("HOME", self.directory.path())
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("PKI_HOME", self.home())
            .env("PKI_PASSPHRASE_FILE", self.path("issuing-passphrase"))
            .env("PKI_ROOT_PASSPHRASE_FILE", self.path("root-passphrase"))
            .current_dir(self.directory.path())
            .arg("--no-input");
    }

    /// Runs the program under test; it must succeed.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Finished {
        finish(&mut self.pki(arguments), b"").ok()
    }

    /// Runs a foreign program beside the home.
    pub fn foreign(&self, name: &str, arguments: &[&str]) -> Finished {
        self.foreign_given(name, arguments, b"")
    }

    /// Runs a foreign program beside the home, with `input` on its stdin.
    pub fn foreign_given(&self, name: &str, arguments: &[&str], input: &[u8]) -> Finished {
        let mut command = program(name);
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env("HOME", self.directory.path());
        finish(&mut command, input)
    }

    /// Makes a new key of P-256 in NAME.key, and a request for it in NAME.csr, PEM: the request.
    #[track_caller]
    pub fn request(&self, name: &str) -> String {
        let [key, request] = ["key", "csr"].map(|ending| format!("{name}.{ending}"));
        let mut arguments = vec!["req", "-new", "-noenc", "-subj", "/CN=phone"];
        arguments.extend(super::EC);
        arguments.extend(["-keyout", &key, "-out", &request]);
        self.foreign("openssl", &arguments).ok();
        std::fs::read_to_string(self.path(request)).unwrap()
    }

    /// Issues to `address`, with a generated passphrase, and says where things are.
    #[track_caller]
    pub fn issue(&self, address: &str, more: &[&str]) -> Bundle {
        let passphrase = self.path(format!("{}.passphrase", address.replace('/', "-")));
        self.bundle(&[&["issue", address], more].concat(), passphrase)
    }

    /// Renews `address` into the directory `renewed`, as [`Self::issue`].
    #[track_caller]
    pub fn renew(&self, address: &str, more: &[&str]) -> Bundle {
        let passphrase = self.path(format!("{}.renewed.passphrase", address.replace('/', "-")));
        self.bundle(
            &[&["renew", address, "--out", "renewed"], more].concat(),
            passphrase,
        )
    }

    #[track_caller]
    fn bundle(&self, arguments: &[&str], passphrase: PathBuf) -> Bundle {
        let mut command = self.pki(arguments);
        command
            .args(["--json", "--bundle-passphrase-out"])
            .arg(&passphrase);
        let said = finish(&mut command, b"").ok().json();
        let files = said["files"].as_array().unwrap().iter();
        let files: Vec<PathBuf> = files.map(|file| self.path(file.as_str().unwrap())).collect();
        let p12 = files
            .iter()
            .find(|file| file.extension().is_some_and(|e| e == "p12"));
        let p12 = p12.unwrap_or_else(|| panic!("no .p12: {said}")).clone();
        Bundle {
            p12,
            passphrase,
            serial: said["serial"].as_str().unwrap().to_owned(),
            files,
        }
    }

    /// The serial number of a device's only certificate, as the inventory says it.
    #[track_caller]
    pub fn serial_of(&self, address: &str) -> String {
        let said = self.run(&["list", "--json"]).json();
        let devices = said["devices"].as_array().unwrap();
        let found: Vec<_> = devices
            .iter()
            .filter(|device| device["address"] == address)
            .collect();
        assert_eq!(found.len(), 1, "certificates of {address}: {said}");
        found[0]["serial"].as_str().unwrap().to_owned()
    }

    /// The bundle of alice/phone in a [`Self::staffed`] home: "Alice Doe", alice@acme.example.
    pub fn alice(&self) -> Bundle {
        self.standing("alice/phone")
    }

    /// The bundle of bob/phone in a [`Self::staffed`] home.
    pub fn bob(&self) -> Bundle {
        self.standing("bob/phone")
    }

    fn standing(&self, address: &str) -> Bundle {
        let stem = address.replace('/', "-");
        let p12 = self.path(format!("{stem}.p12"));
        let serial = std::fs::read_to_string(self.path(format!("{stem}.serial"))).unwrap();
        Bundle {
            files: vec![p12.clone()],
            p12,
            passphrase: self.path(format!("{stem}.passphrase")),
            serial,
        }
    }

    /// Takes a bundle apart with OpenSSL: the paths of the certificate, of the one above it and of the key,
    /// each as PEM. Where that was done since the bundle was written, it is not done again.
    pub fn opened(&self, bundle: &Bundle) -> [PathBuf; 3] {
        let written = |path: &Path| {
            std::fs::metadata(path)
                .and_then(|metadata| metadata.modified())
                .ok()
        };
        let passphrase = format!("file:{}", bundle.passphrase.display());
        let parts = [
            ("leaf", ["-nokeys", "-clcerts"]),
            ("chain", ["-nokeys", "-cacerts"]),
            ("key", ["-nocerts", "-noenc"]),
        ];
        parts.map(|(part, what)| {
            let place = bundle.p12.with_extension(format!("{part}.pem"));
            if written(&place) > written(&bundle.p12) {
                return place;
            }
            let mut arguments = vec![
                "pkcs12",
                "-in",
                bundle.p12.to_str().unwrap(),
                "-passin",
                &passphrase,
            ];
            arguments.extend(what);
            let told = self.foreign("openssl", &arguments).ok().stdout;
            let from = told
                .find("-----BEGIN")
                .unwrap_or_else(|| panic!("no {part} in {bundle:?}: {told}"));
            // What OpenSSL tells of a bag before the PEM is not for every program's eyes.
            self.write_private(place, &told[from..])
        })
    }
}

/// Whether root runs the tests.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

impl Bundle {
    /// Its passphrase.
    pub fn passphrase(&self) -> String {
        let text = std::fs::read_to_string(&self.passphrase).unwrap();
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }
}

impl Model {
    fn name(self) -> &'static str {
        match self {
            Self::Served => "home-served",
            Self::Bare => "home-bare",
            Self::Staffed => "home-staffed",
            Self::Crowded => "home-crowded",
            Self::Leavers => "home-leavers",
            Self::WithServer => "home-with-server",
            Self::Certified => "home-certified",
        }
    }

    fn make(self) -> Home {
        match self {
            Self::Served => founded(&["--base-url", "http://pki.acme.example"]).opening_at_once(),
            Self::Bare => founded(&[]).opening_at_once(),
            Self::Staffed => {
                let home = Home::new();
                let alice = home.issue("alice", &["--name", "Alice Doe", "--email", "alice@acme.example"]);
                let bob = home.issue("bob/phone", &[]);
                for (stem, bundle) in [("alice-phone", alice), ("bob-phone", bob)] {
                    std::fs::write(home.path(format!("{stem}.serial")), &bundle.serial).unwrap();
                    let wanted = home.path(format!("{stem}.passphrase"));
                    if bundle.passphrase != wanted {
                        std::fs::rename(&bundle.passphrase, wanted).unwrap();
                    }
                }
                home
            }
            Self::Crowded => {
                let home = Home::staffed();
                fill(&home.home(), FLEET, false).unwrap();
                home.run(&["publish"]);
                home
            }
            Self::Leavers => {
                let home = Home::new();
                let rows: String = REASONS
                    .iter()
                    .map(|(reason, _)| format!("{reason},phone\n"))
                    .collect();
                let people = home.write_private("people.csv", &format!("employee,device\n{rows}"));
                let passphrases = home.path("passphrases");
                let mut arguments = vec!["issue", "--from", people.to_str().unwrap(), "--out", "bundles"];
                arguments.extend(["--bundle-passphrase-out", passphrases.to_str().unwrap()]);
                home.run(&arguments);
                for (reason, _) in REASONS {
                    home.run(&["revoke", reason, "--yes", "--reason", reason]);
                }
                home
            }
            Self::WithServer => {
                let home = Home::new();
                home.run(&["server", "add", HOST, "--out", "tls"]);
                home.opening_at_once()
            }
            Self::Certified => {
                let home = Home::with_server();
                home.run(&["server", "issue", HOST, "--out", "tls"]);
                home.opening_at_once()
            }
        }
    }
}

fn founded(more: &[&str]) -> Home {
    let home = Home::unfounded();
    let mut arguments = vec!["init", "--org", "Acme Ltd", "--domain", "acme.example"];
    // By flag, as an operator would: everything else takes them from the environment.
    let files = ["issuing-passphrase", "root-passphrase"].map(|file| home.path(file).display().to_string());
    arguments.extend([
        "--passphrase-file",
        &files[0],
        "--root-passphrase-file",
        &files[1],
    ]);
    arguments.extend(more);
    home.run(&arguments);
    home
}

/// Whether what was made once was made by this very binary, and not so long ago that its CRLs grow old.
fn is_fresh(stamp: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(stamp) else {
        return false;
    };
    let made = std::fs::metadata(stamp)
        .and_then(|metadata| metadata.modified())
        .unwrap();
    let age = SystemTime::now().duration_since(made);
    text == binary_stamp() && age.is_ok_and(|age| age < Duration::from_secs(6 * 3600))
}

fn binary_stamp() -> String {
    let metadata = std::fs::metadata(PKI).unwrap();
    format!("{PKI} {:?} {}", metadata.modified().unwrap(), metadata.len())
}

/// Copies the content of a directory, modes and times with it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let mut command = program("cp");
    command.arg("-a").arg(from.join(".")).arg(to);
    finish(&mut command, b"").ok();
}
