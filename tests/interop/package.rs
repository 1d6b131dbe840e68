//! The Debian package as dpkg, man and the shells find it, and the SBOM beside it. What is packed here is the
//! program of the tests: the release build is `make package-check`'s business.

#[path = "../../docs/generate-man.rs"]
mod man;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Finished, PKI, files_below, finish, need, program};

const NAME: &str = "pki-cli_0.1.0~20270102030405.0123456789ab-1";
const VERSION: &str = "0.1.0~20270102030405.0123456789ab-1";
/// 2027-01-02 03:04:05 UTC.
const COMMITTED: &str = "1798859045";

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> Finished {
    finish(command, b"").ok()
}

/// Packs the program into this directory, called from a shell like this one. Answers the package.
fn pack(out: &Path, shell: &str) -> PathBuf {
    let man = out.join("man");
    man::write(&man).unwrap();
    run(program("sh")
        .args(["-c", shell, "sh"])
        .arg(top().join("docs/package/deb"))
        .args([Path::new(PKI), &man, out])
        .envs([
            ("VERSION", VERSION),
            ("MAINTAINER", "A Maintainer <maintainer@acme.example>"),
            ("SOURCE_DATE_EPOCH", COMMITTED),
            ("CARGO_NET_OFFLINE", "true"),
            // Little is to be won by compressing what is thrown away.
            ("XZ_LEVEL", "0"),
        ]));
    let architecture = run(program("dpkg").arg("--print-architecture")).stdout;
    out.join(format!("{NAME}_{}.deb", architecture.trim()))
}

/// The package, and what is in it.
struct Package {
    _directory: tempfile::TempDir,
    deb: PathBuf,
    root: PathBuf,
}

impl Package {
    /// None where a program is missing that makes one.
    fn new() -> Option<Self> {
        if !need(&["dpkg-deb", "dpkg-shlibdeps", "strip", "python3"]) {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let deb = pack(directory.path(), "exec sh \"$@\"");
        let root = directory.path().join("root");
        run(program("dpkg-deb").arg("-R").args([&deb, &root]));
        Some(Self {
            _directory: directory,
            deb,
            root,
        })
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.root.join(file)).unwrap()
    }
}

/// It is packed once for all of this: that is what takes the time.
#[test]
fn the_package_is_what_its_page_promises() {
    let Some(package) = Package::new() else { return };
    has_these_files_and_no_scripts(&package);
    says_what_it_needs_and_what_it_cannot_stand_beside(&package);
    if need(&["man", "bash", "zsh", "fish"]) {
        is_read_by_man_and_shells_without_a_complaint(&package);
    }
}

fn has_these_files_and_no_scripts(package: &Package) {
    // Everything is root's; directories and the program may be entered and run, nothing is written by others.
    let mut promised = BTreeSet::from(
        [
            "usr/bin/pki",
            "usr/share/bash-completion/completions/pki",
            "usr/share/zsh/vendor-completions/_pki",
            "usr/share/fish/vendor_completions.d/pki.fish",
            "usr/share/doc/pki-cli/copyright",
            "usr/share/doc/pki-cli/changelog.gz",
            "usr/share/doc/pki-cli/changelog.Debian.gz",
            "usr/share/doc/pki-cli/licenses-of-dependencies.txt.gz",
            "usr/share/doc/pki-cli/pki-cli.cdx.json",
        ]
        .map(str::to_owned),
    );
    let units: Vec<String> = std::fs::read_dir(top().join("docs/units"))
        .unwrap()
        .map(|unit| unit.unwrap().file_name().into_string().unwrap())
        .collect();
    promised.extend(
        units
            .iter()
            .map(|unit| format!("usr/share/doc/pki-cli/examples/{unit}")),
    );
    for verb in ["", "-init", "-issue", "-revoke", "-server-issue", "-fetch"] {
        promised.insert(format!("usr/share/man/man1/pki{verb}.1.gz"));
    }
    let mut files = BTreeSet::new();
    for line in run(program("dpkg-deb").arg("-c").arg(&package.deb))
        .stdout
        .lines()
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [mode, owner, _, date, _, path] = words[..] else {
            panic!("{line}");
        };
        let expected = match path.trim_start_matches("./") {
            "usr/bin/pki" => "-rwxr-xr-x",
            path if path.is_empty() || path.ends_with('/') => "drwxr-xr-x",
            _ => "-rw-r--r--",
        };
        assert_eq!(
            (mode, owner, date),
            (expected, "root/root", "2027-01-02"),
            "{line}"
        );
        if !path.ends_with('/') {
            files.insert(path.trim_start_matches("./").to_owned());
        }
    }
    let is_man = |file: &&String| file.starts_with("usr/share/man/man1/pki") && file.ends_with(".1.gz");
    let missing: Vec<_> = promised.difference(&files).collect();
    let unknown: Vec<_> = files.difference(&promised).filter(|file| !is_man(file)).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing {missing:?}, unknown {unknown:?}"
    );

    let control = files_below(&package.root.join("DEBIAN"));
    assert_eq!(control.len(), 2, "control and md5sums alone: {control:?}");
    run(program("md5sum")
        .args(["--quiet", "-c", "DEBIAN/md5sums"])
        .current_dir(&package.root));

    // The program runs without the symbols that it had.
    let program = package.root.join("usr/bin/pki");
    assert!(program.metadata().unwrap().len() < Path::new(PKI).metadata().unwrap().len());
    assert_eq!(
        run(Command::new(program).arg("--version")).stdout,
        run(Command::new(PKI).arg("--version")).stdout
    );

    // Units are examples, and name the program where the package has it.
    for unit in units {
        let text = package.read(&format!("usr/share/doc/pki-cli/examples/{unit}"));
        assert!(!text.contains("/usr/local"), "{unit}: {text}");
        if ["pki fetch", "pki publish", "pki renew"]
            .iter()
            .any(|verb| text.contains(verb))
        {
            assert!(text.contains("\nExecStart=/usr/bin/pki "), "{unit}: {text}");
        }
    }
    let copyright = package.read("usr/share/doc/pki-cli/copyright");
    for said in [
        "\nCopyright: 2026 the pki authors\n",
        "\n Permission is hereby granted, free of charge",
        "/usr/share/common-licenses/Apache-2.0",
    ] {
        assert!(copyright.contains(said), "{said:?}: {copyright}");
    }
}

fn says_what_it_needs_and_what_it_cannot_stand_beside(package: &Package) {
    let control = package.read("DEBIAN/control");
    let fields: BTreeMap<&str, &str> = control.lines().filter_map(|line| line.split_once(": ")).collect();
    assert_eq!(fields["Package"], "pki-cli");
    assert_eq!(fields["Version"], VERSION);
    assert_eq!(fields["Maintainer"], "A Maintainer <maintainer@acme.example>");
    assert_eq!(fields["Conflicts"], "pki-tools, strongswan-pki");
    let depends: Vec<&str> = fields["Depends"]
        .split(", ")
        .map(|one| one.split(' ').next().unwrap())
        .collect();
    assert_eq!(depends, ["libc6", "libgcc-s1"], "what is linked dynamically");
    let size: u64 = fields["Installed-Size"].parse().unwrap();
    assert!(size > package.root.join("usr/bin/pki").metadata().unwrap().len() / 1024);

    // dpkg takes it, except beside another program of the same name, which it names.
    let system = package.root.join("system");
    for part in ["info", "updates", "triggers"] {
        std::fs::create_dir_all(system.join("var/lib/dpkg").join(part)).unwrap();
    }
    let install = |status: &str| {
        std::fs::write(system.join("var/lib/dpkg/status"), status).unwrap();
        let mut command = program("dpkg");
        command
            .args(["--force-not-root", "--force-depends", "--no-act", "--root"])
            .arg(&system)
            .arg("--install")
            .arg(&package.deb);
        finish(&mut command, b"")
    };
    install("").ok();
    for other in ["strongswan-pki", "pki-tools"] {
        let told = install(&format!(
            "Package: {other}\nStatus: install ok installed\nMaintainer: A <a@acme.example>\nArchitecture: all\n\
             Version: 1\nDescription: another pki\n"
        ))
        .exits(1);
        assert!(
            told.stderr.contains(&format!("pki-cli conflicts with {other}")),
            "{told}"
        );
    }
}

fn is_read_by_man_and_shells_without_a_complaint(package: &Package) {
    let pages = package.root.join("usr/share/man/man1");
    let pages: Vec<PathBuf> = files_below(&pages).iter().map(|page| pages.join(page)).collect();
    let told = run(program("man")
        .args(["--warnings", "-l"])
        .args(&pages)
        .env("MANPAGER", "cat")
        .env("MAN_KEEP_STDERR", "1")
        .env("MANWIDTH", "80"));
    assert_eq!(told.stderr, "", "{told}");
    assert!(pages.len() > 20, "{pages:?}");
    for page in &pages {
        // As `pki-issue - …` it stands behind NAME, with spaces as the width wants them.
        let verb = page.file_name().unwrap().to_str().unwrap();
        let begins = [verb.trim_end_matches(".1.gz"), "-"];
        let is_name = |line: &str| line.split_whitespace().take(2).eq(begins);
        assert!(told.stdout.lines().any(is_name), "{verb}");
    }

    let share = package.root.join("usr/share").display().to_string();
    let bin = format!("{}:/usr/bin:/bin", package.root.join("usr/bin").display());
    for (shell, arguments, script, shown) in [
        (
            "bash",
            &["--norc", "-c"][..],
            "source \"$SHARE/bash-completion/completions/pki\" && complete -p pki",
            "-F _pki_known pki",
        ),
        (
            "zsh",
            &["-f", "-c"],
            "fpath=($SHARE/zsh/vendor-completions $fpath); autoload -U compinit; compinit -D -u; \
             autoload +X _pki; print $_comps[pki]",
            "_pki",
        ),
        (
            "fish",
            &["--no-config", "-c"],
            "set fish_complete_path $SHARE/fish/vendor_completions.d; complete -C 'pki revo'",
            "revoke",
        ),
    ] {
        let told = run(program(shell)
            .args(arguments)
            .arg(script)
            .env("SHARE", &share)
            .env("PATH", &bin)
            .env("HOME", &package.root));
        assert!(
            told.stdout.contains(shown) && told.stderr.is_empty(),
            "{shell}: {told}"
        );
    }
}

#[test]
fn the_same_program_gives_the_same_package_whoever_packs_it_and_when() {
    let Some(package) = Package::new() else { return };
    let directory = tempfile::tempdir().unwrap();
    let other = pack(
        &directory.path().join("elsewhere"),
        "umask 077; cd /; export TZ=Asia/Tokyo LC_ALL=C; exec sh \"$@\"",
    );
    assert!(
        std::fs::read(&package.deb).unwrap() == std::fs::read(&other).unwrap(),
        "{} and {} differ",
        package.deb.display(),
        other.display()
    );

    // The SBOM lies beside the package, and is the one in it.
    let beside = std::fs::read_to_string(other.with_extension("cdx.json")).unwrap();
    assert!(beside == package.read("usr/share/doc/pki-cli/pki-cli.cdx.json"));
    let bill: Value = serde_json::from_str(&beside).unwrap();
    let version = VERSION.trim_end_matches("-1");
    assert_eq!(bill["metadata"]["component"]["version"], version);
    assert_eq!(bill.get("serialNumber"), None);
    assert_eq!(bill["metadata"].get("timestamp"), None);
}

#[test]
fn the_sbom_names_what_is_linked_and_nothing_else() {
    if !need(&["python3"]) {
        return;
    }
    let bill = run(program("python3")
        .arg(top().join("docs/package/linked.py"))
        .args(["sbom", "0.1.0"])
        .env("CARGO_NET_OFFLINE", "true"))
    .json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let components = bill["components"].as_array().unwrap();
    let names: BTreeSet<String> = components.iter().map(|one| text(&one["name"])).collect();

    let read = |file: &str| -> toml::Table {
        std::fs::read_to_string(top().join(file))
            .unwrap()
            .parse()
            .unwrap()
    };
    let manifest = read("Cargo.toml");
    let linked = manifest["dependencies"].as_table().unwrap();
    for name in linked.keys() {
        assert!(names.contains(name), "{name} is linked");
    }
    // Of what both need the tests may need more.
    let tests = manifest["dev-dependencies"].as_table().unwrap().keys();
    let tests = tests.filter(|name| !linked.contains_key(*name));
    // PNG pictures are compressed by it.
    let tests = tests.filter(|name| *name != "flate2");
    // Macros and what only builds: their code is in no binary.
    let builds = ["cc", "proc-macro2", "serde_derive", "syn", "version_check"].map(str::to_owned);
    for name in tests.chain(&builds) {
        assert!(!names.contains(name), "{name} is not linked");
    }
    // What is behind the crates that are named there, and Rust's own library.
    for name in ["ring", "rustls-webpki", "rust-std"] {
        assert!(names.contains(name), "{name} is linked");
    }

    let lock = read("Cargo.lock");
    let locked: BTreeSet<(String, String, String)> = lock["package"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|package| {
            let field = |name: &str| Some(package.get(name)?.as_str()?.to_owned());
            Some((field("name")?, field("version")?, field("checksum")?))
        })
        .collect();
    let mut references = BTreeSet::from([text(&bill["metadata"]["component"]["bom-ref"])]);
    for one in components {
        assert!(references.insert(text(&one["bom-ref"])), "twice: {one}");
        assert!(!text(&one["licenses"][0]["expression"]).is_empty(), "{one}");
        if one["name"] != "rust-std" {
            let hash = text(&one["hashes"][0]["content"]);
            assert!(
                locked.contains(&(text(&one["name"]), text(&one["version"]), hash)),
                "{one}"
            );
        }
    }
    // Whatever is there is used by something that is there, and the program is the first.
    let mut used = BTreeSet::from([text(&bill["metadata"]["component"]["bom-ref"])]);
    for dependency in bill["dependencies"].as_array().unwrap() {
        assert!(references.contains(&text(&dependency["ref"])), "{dependency}");
        used.extend(dependency["dependsOn"].as_array().unwrap().iter().map(text));
    }
    assert_eq!(used, references);
}
