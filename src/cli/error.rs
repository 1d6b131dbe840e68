//! From an error of any room to what the operator is told: what happened, what to do next, and the exit code.

use serde::Serialize;

use crate::ca::OperateError;
use crate::check::{CheckError, Unreachable};
use crate::consumer::ConsumerError;
use crate::disk::{self, DiskError, UMASK};
use crate::doctor::{JOIN_GROUP, ROTATE};
use crate::fetch::{FetchError, Serials, SourceError, Unfit};
use crate::home::HomeError;
use crate::issuer::IssuerError;
use crate::key::KeyError;
use crate::model::profile::Refusal;
use crate::model::{Host, Serial};
use crate::publish::{BucketError, InvalidStatement, TargetError};
use crate::store::StoreError;
use crate::web::{NoTrust, Trouble};

/// What to do about a disk that is full, or fails.
const ROOM: &str = "free some room or mend the disk, then run the command again";

/// What to do about a home that may be a copy.
pub const GOES_ON_HERE: &str = "if the PKI goes on in this home and the other is not used any more: `pki publish --confirm HOME`; \
                                in a copy to try things with, reading and revoking need no such word";

/// What to do about a name that is not known.
const LIST: &str = "`pki list` shows who and what there is";

/// The exit codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Refused or failed, nothing changed.
    Refused = 1,
    /// Wrong usage.
    Usage = 2,
    /// Looked, and found something.
    Found = 3,
    /// A secret or a confirmation is missing, wrong, or answered with no.
    Secret = 4,
    /// Committed, but not everything was delivered or published.
    Incomplete = 5,
    /// Our own bug.
    Bug = 70,
    /// Interrupted.
    Interrupted = 130,
}

/// What the operator is told where a command does not end well.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// A stable word for scripts.
    pub kind: &'static str,
    /// What happened to what, and why.
    pub message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The exit code.
    #[serde(skip)]
    pub exit: Exit,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(exit: Exit, kind: &'static str, message: impl ToString) -> Self {
        Self {
            kind,
            message: message.to_string(),
            hint: None,
            exit,
        }
    }

    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl ToString) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// A malformed value in argv.
    pub fn usage(message: impl ToString) -> Self {
        Self::new(Exit::Usage, "usage", message)
    }

    /// Something was refused, and nothing changed.
    pub fn refused(message: impl ToString) -> Self {
        Self::new(Exit::Refused, "refused", message)
    }

    /// A file could not be read or written.
    fn of_disk(error: &DiskError) -> Self {
        use std::io::ErrorKind as Kind;
        let failure = Self::new(Exit::Refused, "disk", error);
        let kind = error.source.kind();
        if disk::is_modeless(&error.source) {
            return failure.hint(UMASK);
        }
        if kind == Kind::PermissionDenied {
            return failure.hint("look at its owner and mode, and at who runs this");
        }
        if error.is_full() || kind == Kind::ReadOnlyFilesystem {
            return failure.hint(ROOM);
        }
        if kind == Kind::NotFound {
            return failure.hint("look at how it is written, and in which directory this runs");
        }
        if kind == Kind::TimedOut {
            return failure.hint("name a file, or start first what writes to it");
        }
        failure
    }

    /// A secret or a confirmation is missing or wrong.
    pub fn secret(message: impl ToString) -> Self {
        Self::new(Exit::Secret, "secret", message)
    }
}

/// What to do about a place that was not published to.
pub fn place_remedy(error: &TargetError) -> &'static str {
    if error.is_missing() {
        return "make that directory, or mount it, or mend the path in pki.toml; then run `pki publish`";
    }
    match error {
        TargetError::Disk(why) if why.is_of_group() => JOIN_GROUP,
        TargetError::Forgotten(_) => {
            "put its tables back into pki.toml, then `pki publish`; where nothing is to be published elsewhere any more, write `publish = []` above its first table"
        }
        TargetError::Unconfigured(_) => {
            "correct the file, whose comments explain every key; then run `pki publish`"
        }
        TargetError::Disk(_) | TargetError::Home | TargetError::Shared(_) => {
            "mend it, then run `pki publish`"
        }
        TargetError::Gone(_) => "run `pki publish`, which writes all lists whole",
        TargetError::ServersRevoked => "run `pki publish`, which opens that key, too",
        TargetError::UnknownPins => {
            "restore the newest ledger.jsonl and servers/; only if this older state is meant, remove pins/ from that place; then run `pki publish`"
        }
        TargetError::Rival => {
            "find out which other home publishes there, a copy or a backup of this one; `pki publish` goes on from what is there"
        }
        TargetError::OtherHalf { .. } => {
            "exchange `public` and `server` in pki.toml if they are the wrong way round; only if this is meant, remove that place's manifest.jws; then run `pki publish`"
        }
        TargetError::OtherCa(_) => {
            "find out which home has the CA that publishes there, and let one of them alone publish there; only if this one is meant, remove that place's manifest.jws; then run `pki publish`"
        }
        TargetError::Bucket(BucketError::Credentials(_)) => {
            "mend the file (mode 0600), then run `pki publish`"
        }
        TargetError::Bucket(BucketError::Gone(_)) => "run `pki publish`, which writes all lists whole",
        TargetError::Bucket(BucketError::Superseded { .. } | BucketError::Contended(_)) => {
            "find out which other home publishes there, a copy or a backup of this one; `pki publish` goes on from what is there"
        }
        TargetError::Bucket(BucketError::Store { .. } | BucketError::Unreachable(_)) => {
            "mend the store, or what is said of it in pki.toml, then run `pki publish`"
        }
    }
}

impl From<OperateError> for Failure {
    fn from(error: OperateError) -> Self {
        use OperateError as E;
        let message = error.to_string();
        let refused = |kind| Self::new(Exit::Refused, kind, &message);
        match error {
            E::Home(error) => error.into(),
            E::Store(error) => error.into(),
            E::NotRecorded { .. } => refused("disk").hint(ROOM),
            E::Disk(error) => Self::of_disk(&error),
            E::NoRoomBeside { .. } => refused("disk")
                .hint("name a home below a directory of this account, as --home /var/lib/pki/home where /var/lib/pki is its own"),
            E::Authority(IssuerError::KeyMismatch(_)) => {
                refused("mixed").hint("restore key and certificate from one backup: files of two homes are mixed")
            }
            E::Authority(IssuerError::SharedKey(..)) => {
                refused("shared-key").hint("sign the request that `pki server issue` writes, with a key of its own")
            }
            E::Authority(IssuerError::OutOfDate { to, at, .. }) if at > to => refused("authority").hint(ROTATE),
            E::Authority(IssuerError::OutOfDate { .. }) => refused("authority").hint("set the clock"),
            E::Authority(_) => refused("authority").hint("`pki doctor` says what is wrong with this home; restore what is damaged from a backup"),
            E::Key { why: KeyError::WrongPassphrase, .. } => Self::new(Exit::Secret, "wrong-passphrase", message),
            E::Key { .. } => refused("key"),
            E::Bundle(_) => refused("bundle"),
            E::Target(error) => refused("target").hint(place_remedy(&error)),
            E::Rejected(rejected) => refused("publication").hint(format!(
                "run `{}`; `pki doctor` tells what else is wrong",
                rejected.remedy()
            )),
            E::Refused(refusal) => refusal.into(),
            E::ClockBeforeProgram(_) => refused("clock-behind")
                .hint("set the clock; if it is right all the same, repeat with --confirm CLOCK"),
            E::ClockBehind { .. } => refused("clock-behind").hint(
                "set the clock; if it is right and the last event's time was wrong, repeat with --confirm CLOCK",
            ),
            E::Copied(_) => Self::new(Exit::Secret, "copied-home", message).hint(GOES_ON_HERE),
            // A missing confirmation, like any other: exit 4.
            E::ClockAhead { .. } => Self::new(Exit::Secret, "clock-ahead", message)
                .hint("set the clock; if it is right, repeat with --confirm CLOCK"),
            E::AlreadyValid { address, .. } => refused("already-valid").hint(format!(
                "`pki renew {address}` issues a newer one; `pki revoke {address}` takes this one back"
            )),
            E::Offboarded { employee, .. } => {
                refused("offboarded").hint(format!("if {employee} is back, repeat with --reissue"))
            }
            E::Leaver(employee) => refused("offboarded").hint(format!(
                "if she is gone, run `pki offboard {employee}`; if {employee} is back, repeat with --reissue"
            )),
            E::Reserved(_) => refused("reserved").hint("choose another name"),
            E::NameOfAnother { .. } => refused("name-in-use")
                .hint("give the full name: applications and people would take the one for the other"),
            E::LockedOut { .. } => refused("revoked").hint("to let the device in again, repeat with --reissue"),
            E::NoDevice(address) => refused("unknown").hint(format!(
                "`pki list --employee {}` shows her devices; `pki issue {address}` makes one",
                address.employee
            )),
            E::NoEmployee(name) => refused("unknown").hint(match name.as_str().parse::<Serial>() {
                Err(why) if Serial::resembles(name.as_str()) => why.to_string(),
                // The name of a host, for all that is known here.
                Ok(_) | Err(_) if name.as_str().contains('.') => {
                    format!("{LIST}; of a server, `pki server list` shows the keys, and `pki revoke SERIAL` takes a certificate")
                }
                Ok(_) | Err(_) => LIST.to_owned(),
            }),
            E::NoCertificate(_) => refused("unknown").hint(LIST),
            E::NothingToRenew(address) => {
                refused("revoked").hint(format!("`pki issue {address}` issues a new certificate"))
            }
            E::NotIssuedHere(address) => refused("recovered").hint(format!(
                "`pki issue {address}` issues a new one in its place; `pki revoke {address}` takes it back; \
                 `pki publish --keep {address}` lets it stay until it ends"
            )),
            E::NothingRecovered(_) => refused("unknown").hint("`pki doctor` lists what was recovered and waits for a decision"),
            E::TornSource(_) => refused("publication").hint("copy all of it anew, and repeat"),
            E::NothingToReconcile(_) => refused("unknown").hint(
                "give what a server has fetched (the --out of `pki fetch`), a directory of a [[publish]], or a CRL of this PKI",
            ),
            E::NeedsRequest(address) => {
                refused("needs-csr").hint(format!("repeat as `pki renew {address} --csr FILE`"))
            }
            E::TakenByBundle(_) | E::NoList(_) => {
                refused("exists").hint("name another file with --bundle-passphrase-out FILE")
            }
            E::InHome(_) | E::InPublication(_) => {
                refused("place").hint("name a place elsewhere, that only you can read")
            }
            E::MountPoint(place) => {
                refused("place").hint(format!("name a directory below it: --home {}", place.0.join("pki").display()))
            }
            E::MediumInHome(_) => {
                refused("place").hint("name a directory on a medium of its own with --offline-root DIR")
            }
            E::NoTarget(_) => refused("unknown").hint("give it as it stands there, or leave it out to publish everywhere"),
            E::NotOwn(_) => refused("exposed").hint("name a file of your own"),
            E::KeyOfAnother(_) | E::KeyOfCa | E::KeyOfServer(_) => refused("key-in-use")
                .hint("have a new key made, and a request with it: a key is one device's, or a server's"),
            E::KeyDropped(_) => refused("key-revoked").hint("have a new key made, and a request or certificate with it"),
            E::KeyRevoked { .. } => refused("key-revoked").hint("have the device make a new key, and a request with it"),
            E::OutputDir { why, .. } if disk::is_modeless(&why) => refused("disk").hint(UMASK),
            E::OutputDir { .. } => refused("disk").hint("name a directory of yours with --out DIR"),
            E::Exists(_) => refused("exists").hint("choose another name, or move it away"),
            E::ServerExists(host) => refused("exists").hint(format!(
                "`pki server list` shows its keys; `pki server rotate {host}` gives it the next one"
            )),
            E::NoServer(host) => refused("unknown").hint(format!(
                "`pki server list` shows those that there are; `pki server add {host}` takes it in"
            )),
            E::RemovedAlready { host, .. } => refused("removed").hint(format!(
                "where no app goes by them, `pki server remove {host} --now` drops them at once"
            )),
            E::OtherKey(_) => refused("mixed").hint("restore the file from a backup"),
            E::KeyElsewhere(host) => refused("key-elsewhere").hint(format!(
                "where the key is, run `openssl req -new -key KEY -subj /CN={host} -addext {} -out {stem}.csr`; `pki server issue {host} --csr \
                 {stem}.csr` certifies it if it is of P-256, a public CA whatever it is",
                alternative_name(&host),
                stem = host.file_stem()
            )),
            E::KeyInReserve(host) => refused("key-in-reserve").hint(format!(
                "`pki server rotate {host}` takes it into use; until then apps may not know it"
            )),
            E::KeyRetiring(host) => refused("key-retiring").hint(format!(
                "have the key in use certified: `pki server csr {host}` writes a request for it, `pki server issue {host} --out DIR`, where its key is, certifies it here"
            )),
            E::StrangeKey(host) => refused("other-key").hint(format!(
                "apps would refuse the server with it: certify the key that is pinned (`pki server csr {host}`; one that was imported, where it is: \
                 certbot keeps it with --reuse-key), and find out where this one came from",
            )),
            E::SelfSignedCa(host) => refused("ca").hint(format!(
                "make another of the same key, which keeps the pin, give it to the server, and import that: `{}`",
                self_signed(&host)
            )),
            E::CertificateOfCa => refused("ca").hint("give the server's own certificate, the first one of fullchain.pem"),
            E::NotForServers(host) => refused("purpose").hint(format!(
                "have it made anew with the same key and extendedKeyUsage=serverAuth: `pki server csr {host}` writes a request for a key that is \
                 here, `openssl req -new -key KEY -addext extendedKeyUsage=serverAuth` for one that is elsewhere"
            )),
            E::OtherHost { host, found } if found.is_empty() => refused("other-host").hint(format!(
                "have it made anew with the same key and {}; where it is self-signed: `{}`",
                alternative_name(&host),
                self_signed(&host)
            )),
            E::OtherHost { .. } => refused("other-host").hint("name the host that apps call, or give the certificate that is its own"),
            E::NotGood { .. } => refused("not-good").hint("give a certificate that is good now"),
            E::TooSoon { host, .. } => refused("too-soon").hint(format!(
                "`pki pins plan` tells what apps must have by then; if the key in use is lost, repeat with --confirm {host}; if somebody else may have \
                 it, with --compromised --confirm {host}"
            )),
            E::PinNotEverywhere { host, .. } => refused("unpublished").hint(format!(
                "`pki publish` tells what is wrong there; where nobody reads it any more, take it out of pki.toml; if the key in use is lost, \
                 rotate with --confirm {host}"
            )),
            E::PinUnpublished(host) => refused("unpublished").hint(format!(
                "run `pki publish`; where a rotation was cut off, `pki server csr {host}` writes the key that is in use since"
            )),
            E::CertificateRevoked { host, .. } => {
                refused("revoked").hint(format!("`pki server issue {host} --out DIR`, where its key is, makes another"))
            }
            E::ActiveUnpublished(_) => refused("unpublished").hint("run `pki publish`, and repeat"),
            E::RotatedMeanwhile(_) => refused("busy").hint("look at `pki server list`, then decide again"),
            E::PinsAhead => refused("pins-ahead").hint(
                "restore the newest ledger.jsonl and servers/; only if this older state is meant, remove pins/ from every place of the publication",
            ),
            E::PinsUnread(_) => refused("pins-unread").hint("mend that place, or take it out of pki.toml, then repeat"),
            E::KeyUndelivered(host, _) => Self::new(Exit::Incomplete, "undelivered", message).hint(format!(
                "`pki server issue {host} --out DIR` or `pki server csr {host} --out DIR` writes the key again"
            )),
            E::ReadBack(_) => refused("disk").hint("check the disk, then run the same command again"),
            E::Undelivered(_) => Self::new(Exit::Incomplete, "undelivered", message)
                .hint("run the same command again: it revokes that certificate and issues a new one"),
            E::Unpublished(why) => {
                let remedy = if let E::Rejected(rejected) = &*why { rejected.remedy() } else { "pki publish" };
                let is_full = if let E::NotRecorded { why, .. } | E::Disk(why) | E::Target(TargetError::Disk(why)) = &*why {
                    why.is_full()
                } else {
                    false
                };
                let first = if is_full { "free some room, then " } else { "" };
                let hint = format!("{first}run `{remedy}` to finish the work");
                Self::new(Exit::Incomplete, "unpublished", message).hint(hint)
            }
        }
    }
}

/// How whoever fetches says that these may be let in again.
fn confirming(serials: &Serials, number: u64) -> String {
    match serials.0.first() {
        Some(serial) if serials.0.len() == 1 => format!("--confirm {serial}"),
        Some(_) | None => format!("--confirm {number} for all of them, or --confirm SERIAL for each"),
    }
}

/// How OpenSSL is told a server's name.
fn alternative_name(host: &Host) -> String {
    let kind = match host {
        Host::Name(_) => "DNS",
        Host::Address(_) => "IP",
    };
    format!("subjectAltName={kind}:{host}")
}

/// The command that makes a self-signed certificate, of a key that is there, which is no CA's.
fn self_signed(host: &Host) -> String {
    format!(
        "openssl req -x509 -key KEY -days 90 -subj /CN={host} -addext {} -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=serverAuth -out {}.crt",
        alternative_name(host),
        host.file_stem()
    )
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Self {
        use CheckError as E;
        let failure = |kind| Self::new(Exit::Refused, kind, &error);
        match &error {
            E::Unreachable(Unreachable::NoAddress { .. }) => failure("no-address")
                .hint("where the name is not known here, say where it is: --resolve HOST:PORT:ADDR"),
            E::Unreachable(Unreachable::NoAnswer { .. }) | E::Silent { .. } => failure("unreachable")
                .hint("see whether the server runs, and whether a firewall stands between"),
            E::NotTls(_) => {
                failure("not-tls").hint("name the port where the server speaks https, as https://HOST:8443/")
            }
            E::RefusesAll { .. } => failure("not-tls")
                .hint("see the server's log: it may know no such host, or offer no suite of today"),
            E::Forgery(_) => Self::new(Exit::Bug, "bug", &error),
        }
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        use HomeError as E;
        let message = error.to_string();
        let refused = |kind| Self::new(Exit::Refused, kind, &message);
        match error {
            E::Missing(_) => {
                refused("no-home").hint("`pki init` makes one; --home DIR or PKI_HOME names another place")
            }
            E::NotAHome(..) => {
                refused("no-home").hint("name the right directory with --home DIR or PKI_HOME")
            }
            E::OtherAccount { owner, .. } => refused("other-account").hint(format!(
                "run it as that account: `sudo -u {owner} pki …`; its timer could not read files of this one"
            )),
            E::Exposed(exposed) => refused("exposed").hint(exposed.remedy()),
            E::Disk(error) if error.source.kind() == std::io::ErrorKind::NotFound => Self::of_disk(&error)
                .hint("it is a part of the home: restore it from a backup; a root's key may be on a medium that is not there"),
            E::Disk(error) => Self::of_disk(&error),
            E::Config { .. } => refused("config").hint("correct the file; its comments explain every key"),
            E::Profile { .. } => refused("profile").hint("correct the profile"),
            E::Template { .. } => refused("template").hint("correct the file, or move it away: a template is built in"),
            E::NoProfile(_) => refused("profile")
                .hint("`device` is built in; others are templates/profiles/NAME.toml in the home"),
            E::Certificate { .. } | E::Chain(_) => refused("damaged").hint("restore the file from a backup"),
            E::Mixed { .. } => refused("mixed").hint("restore the files that belong together"),
            E::ServersMade => refused("busy").hint("run the same command again"),
            E::Restored(_) => refused("restored").hint("run the same command again"),
            E::Busy { .. } => refused("busy").hint("try again, or wait longer with --wait 5m"),
            E::Store(error) => error.into(),
        }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        use FetchError as E;
        let message = error.to_string();
        let refused = |kind| Self::new(Exit::Refused, kind, &message);
        match error {
            E::Disk(error) => Self::of_disk(&error),
            E::Root { .. } | E::NoRoot { .. } => refused("root")
                .hint("name the root's certificate with --root FILE: ca/root.crt, as the PKI's operator handed it over"),
            E::RootCrl { .. } => refused("root-crl").hint("name a good crl/root.crl of the public half with --root-crl FILE"),
            E::OtherRoot(_) => refused("other-root")
                .hint("name that root; for another PKI, another directory: --out DIR"),
            E::OtherArea { .. } => refused("area").hint("each half needs a directory of its own: --out DIR"),
            E::Taken { .. } => refused("place").hint("move it away, or name another with --out DIR"),
            E::InHome { .. } => refused("place").hint("name a directory elsewhere with --out DIR"),
            E::HomeInside { .. } => {
                refused("place").hint("move the home away: what a fetch has put there, the next one removes with all that is in it")
            }
            E::NoName(_) => refused("place").hint("name a directory with --out DIR"),
            E::Forgotten { .. } => refused("state")
                .hint(
                    "restore the newest one; where there is none, remove it and the link that --out names, and nothing else: the next fetch goes by the \
                     versions that lie beside it, and takes nothing that is older or revokes less than the newest of them",
                ),
            E::Busy { .. } => refused("busy").hint("try again, or wait longer with --wait 5m"),
            E::Directory(error) => {
                let failure = Self::of_disk(&error);
                let hint = failure.hint.clone();
                failure.hint(hint.as_deref().unwrap_or("look at what lies there: directories and regular files, and no links"))
            }
            E::Source { why, .. } => {
                let failure = refused("source");
                match why {
                    SourceError::Missing => failure.hint("name one half of a publication: the directory with manifest.jws in it"),
                    SourceError::Redirect { .. } => failure.hint("name the address that it leads to, if it is the right one"),
                    SourceError::Slow(_) => failure.hint("try again, or give it longer with --timeout 5m"),
                    SourceError::NoTrust(NoTrust::File { path, contents, .. }) => {
                        failure.hint(super::form::to_certificate(&path.0, &contents))
                    }
                    SourceError::NoTrust(NoTrust::System(_) | NoTrust::Disk(_)) => {
                        failure.hint("name the certificates to trust with --ca FILE")
                    }
                    SourceError::Network(trouble) => failure.hint(match trouble {
                        Trouble::NoAddress { .. } => {
                            "look at how it is written; what the name service does not know, --resolve HOST:PORT:ADDR does"
                        }
                        Trouble::NobodyListens(_) => "see whether the server runs, and on which port",
                        Trouble::Untrusted { ca: None, .. } => {
                            "if that is your own CA, give its certificate with --ca FILE; if not, find out who answers there"
                        }
                        Trouble::Untrusted { ca: Some(_), .. } => {
                            "--ca takes the certificate of the CA that issued the web server's, which is not the PKI's root; \
                             if it has that, find out who answers there"
                        }
                        Trouble::OtherHost { .. } => "name the host as the certificate does: --resolve HOST:PORT:ADDR says where it is",
                        Trouble::Ended(_) => "renew the web server's certificate; is this clock right?",
                        Trouble::NotYet(_) => "set the clocks of both machines",
                        Trouble::Unfit(_) => "give the web server a certificate of its own, for servers",
                        Trouble::NotTls(_) => "name the port where the server speaks https, as https://HOST:8443/",
                        Trouble::Broken(_) => "try again; if it stays, look at the server's log",
                    }),
                    SourceError::Disk(_) | SourceError::Status(_) | SourceError::TooLong(_) => {
                        failure.hint("look at what is served there")
                    }
                }
            }
            E::Refused { why, .. } => {
                let failure = refused("publication");
                match why {
                    Unfit::Ended(_) => failure.hint("run `pki publish` where the CA is, and see why its timer does not; is this clock right?"),
                    Unfit::NotYet(_) => failure.hint("set the clocks of both machines"),
                    Unfit::Area { .. } => failure.hint("name the other directory of the publication"),
                    Unfit::Version(_) => failure.hint("install a newer pki here"),
                    Unfit::Older { .. } | Unfit::SameNumber(_) => {
                        failure.hint(
                            "somebody has put an older state there, or a cache serves it: run `pki publish` where the CA is; after a restore from a backup, \
                             `pki publish --reconcile DIR` with what this machine has in place",
                        )
                    }
                    Unfit::Unrevoked { serials, number, rest: Some(_) } => {
                        failure.hint(format!(
                            "look where the CA is whether it has ended there, or is revoked: `pki show SERIAL`; if so, repeat with {}; if it is not known or \
                             good there, bring what this machine has in place to it, and run `pki publish --reconcile DIR`",
                            confirming(&serials, number)
                        ))
                    }
                    Unfit::Unrevoked { serials, number, rest: None } | Unfit::Readmitted { serials, number } => {
                        failure.hint(format!(
                            "bring what this machine has in place, the half `server` above all, to where the CA is, and run `pki publish --reconcile DIR` \
                             with it there; only if that is meant to be let in again, repeat with {}",
                            confirming(&serials, number)
                        ))
                    }
                    Unfit::Abandoned { serials, number, .. } => {
                        failure.hint(format!(
                            "publish from the home that has that CA's key; a CA may leave with its CRL when the root's CRL revokes it, when it has ended, or \
                             when all that it revokes has; only if that is meant to be let in again, repeat with {}",
                            confirming(&serials, number)
                        ))
                    }
                    Unfit::PinBack { host, number, .. } => {
                        failure.hint(format!(
                            "restore the newest ledger.jsonl and servers/ where the CA is; where they are lost, rotate there again what was rotated since: \
                             `pki server rotate {host}`; only if that key is meant to be believed again, repeat with --confirm {number}"
                        ))
                    }
                    Unfit::Statement(InvalidStatement::OtherRoot { root, .. }) => failure.hint(format!(
                        "nothing was changed here. Either --root names another PKI's root: its SHA-256 is {root}, and `pki show public/ca/root.crt` in \
                         the home of the PKI that is meant tells the right one (what a source says of itself is no proof). Or somebody else publishes \
                         there: find out who can write to the source"
                    )),
                    Unfit::Statement(_)
                    | Unfit::Unreadable(_)
                    | Unfit::Stray { .. }
                    | Unfit::NotListed(_)
                    | Unfit::TooLong { .. }
                    | Unfit::Differs(_)
                    | Unfit::NotSignedBy(_)
                    | Unfit::Line(_) => failure.hint("nothing was changed here; find out who can write to the source"),
                }
            }
            E::Torn { .. } => refused("torn")
                .hint("it is being written, was not written to its end, or was changed: run `pki publish` where the CA is"),
        }
    }
}

impl From<ConsumerError> for Failure {
    fn from(error: ConsumerError) -> Self {
        use ConsumerError as E;
        let failure = Self::refused(&error);
        match error {
            E::Unsayable(_) => failure.hint("give the file or directory a plain name on that server"),
            E::NotText(_) => failure.hint("give the file or directory a plain name on that server"),
            E::Relative(_) => failure.hint("write the whole path, as it is on that server: /etc/pki/api.crt, for instance"),
            E::KeyElsewhere { .. } => {
                failure.hint("name both alike: --cert /etc/pki/X.crt --key /etc/pki/X.key")
            }
            E::Template { name, .. } => failure.hint(format!(
                "correct templates/{name} in the home, or remove it: the one built in takes its place"
            )),
            E::OneHost { name, value } => failure.hint(format!(
                "begin anew from the one that is built in (`--template` prints it, and it goes by `{value}`), remove templates/{name} \
                 from the home, or print a file for each host"
            )),
            E::SeveralHosts(_) => failure.hint("name one of them"),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        use StoreError as E;
        let message = error.to_string();
        let refused = |kind| Self::new(Exit::Refused, kind, &message);
        match error {
            E::Disk(error) => Self::of_disk(&error),
            E::NotAppended(_) => refused("disk").hint(ROOM),
            E::OutcomeUnknown { .. } => Self::new(Exit::Incomplete, "unknown-outcome", message)
                .hint("mend the disk, then run `pki doctor`: it tells whether the event is there"),
            E::Encoding(_) => Self::new(Exit::Bug, "bug", message),
            E::Damaged { .. } => refused("ledger-damaged")
                .hint("restore ledger.jsonl from a backup; `pki audit verify` tells how far it is good"),
            E::Ahead { .. } => refused("events-missing").hint(
                "restore the newest ledger.jsonl; only if the older one is meant, remove the directory index/",
            ),
            E::Moved { .. } | E::IndexBusy => refused("busy").hint("run the command again"),
            E::Empty => refused("ledger-damaged").hint("restore ledger.jsonl from a backup"),
            E::Index(_) => refused("index").hint("remove the directory index/ in the home: it is made anew"),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let failure = Self::new(Exit::Refused, "policy", &refusal);
        match refusal {
            Refusal::Host(host) => failure.hint(format!(
                "a public CA can certify it: `pki server csr {host}`; what this PKI may vouch for was fixed by --domain and --ip-range of `pki init`",
            )),
            Refusal::Days { max, .. } | Refusal::ServerDays { max, .. } => failure.hint(format!("ask for 1 to {max} days")),
            Refusal::IssuerEnds(_) => failure.hint(ROTATE),
            Refusal::IssuerNotYet(_) => failure.hint("set the clock"),
        }
    }
}

macro_rules! by_way_of_ca {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                OperateError::from(error).into()
            }
        }
    )*};
}
by_way_of_ca!(DiskError, IssuerError);

#[cfg(test)]
mod tests;
