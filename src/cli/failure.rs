//! From an error of any room to what the operator is told: what happened, what to do next, and the exit code.

use serde::Serialize;

use crate::authority::AuthorityError;
use crate::check::{CheckError, Unreachable};
use crate::disk::DiskError;
use crate::home::HomeError;
use crate::key::KeyError;
use crate::model::Serial;
use crate::model::profile::Refusal;
use crate::operate::OperateError;
use crate::store::StoreError;

/// What to do about an issuing CA that ends.
const ROTATE: &str = "the issuing CA must be replaced; `pki ca rotate` will do that, which this version does not have yet: \
                      found a new PKI with `pki init --home DIR` and issue to the devices from there";

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
        if kind == Kind::PermissionDenied {
            return failure.hint("look at its owner and mode, and at who runs this");
        }
        if [Kind::StorageFull, Kind::QuotaExceeded, Kind::ReadOnlyFilesystem].contains(&kind) {
            return failure.hint("free some room or mend the disk, then run the command again");
        }
        failure
    }

    /// A secret or a confirmation is missing or wrong.
    pub fn secret(message: impl ToString) -> Self {
        Self::new(Exit::Secret, "secret", message)
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
            E::Disk(error) => Self::of_disk(&error),
            E::NoRoomBeside { .. } => refused("disk")
                .hint("name a home below a directory of this account, as --home /var/lib/pki/home where /var/lib/pki is its own"),
            E::Authority(AuthorityError::KeyMismatch(_)) => {
                refused("mixed").hint("restore key and certificate from one backup: files of two homes are mixed")
            }
            E::Authority(_) => refused("authority"),
            E::Key { why: KeyError::WrongPassphrase, .. } => Self::new(Exit::Secret, "wrong-passphrase", message),
            E::Key { .. } => refused("key"),
            E::Bundle(_) => refused("bundle"),
            E::Target(_) => refused("target").hint("mend the directory, then run `pki publish`"),
            E::Rejected(rejected) => refused("publication").hint(format!(
                "run `{}`; `pki doctor` tells what else is wrong",
                rejected.remedy()
            )),
            E::Refused(refusal) => refusal.into(),
            E::ClockBehind { .. } => refused("clock-behind").hint(
                "set the clock; if it is right and the last event's time was wrong, repeat with --confirm CLOCK",
            ),
            // A missing confirmation, like any other: exit 4.
            E::ClockAhead { .. } => Self::new(Exit::Secret, "clock-ahead", message)
                .hint("set the clock; if it is right, repeat with --confirm CLOCK"),
            E::AlreadyValid { address, .. } => refused("already-valid").hint(format!(
                "`pki renew {address}` issues a newer one; `pki revoke {address}` takes this one back"
            )),
            E::Offboarded { employee, .. } => {
                refused("offboarded").hint(format!("if {employee} is back, repeat with --reissue"))
            }
            E::Reserved(_) => refused("reserved").hint("choose another name"),
            E::LockedOut { .. } => refused("revoked").hint("to let the device in again, repeat with --reissue"),
            E::NoDevice(address) => refused("unknown").hint(format!(
                "`pki list --employee {}` shows her devices; `pki issue {address}` makes one",
                address.employee
            )),
            E::NoEmployee(name) => refused("unknown").hint(match name.as_str().parse::<Serial>() {
                Err(why) if Serial::resembles(name.as_str()) => why.to_string(),
                Ok(_) | Err(_) => LIST.to_owned(),
            }),
            E::NoCertificate(_) => refused("unknown").hint(LIST),
            E::NothingToRenew(address) => {
                refused("revoked").hint(format!("`pki issue {address}` issues a new certificate"))
            }
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
            E::KeyOfAnother(_) | E::KeyOfCa => refused("key-in-use")
                .hint("have the device make a new key, and a request with it: a key is one device's"),
            E::KeyRevoked { .. } => refused("key-revoked").hint("have the device make a new key, and a request with it"),
            E::Outbox { .. } => refused("disk").hint("name a directory of yours with --out DIR"),
            E::Exists(_) => refused("exists").hint("choose another name, or move it away"),
            E::ReadBack(_) => refused("disk").hint("check the disk, then run the same command again"),
            E::Undelivered(_) => Self::new(Exit::Incomplete, "undelivered", message)
                .hint("run the same command again: it revokes that certificate and issues a new one"),
            E::Unpublished(why) => {
                let remedy = if let E::Rejected(rejected) = *why { rejected.remedy() } else { "pki publish" };
                Self::new(Exit::Incomplete, "unpublished", message).hint(format!("run `{remedy}` to finish the work"))
            }
        }
    }
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Self {
        use CheckError as E;
        let failure = |kind| Self::new(Exit::Refused, kind, &error);
        match &error {
            E::Unreachable(Unreachable::NoAddress { .. }) => failure("unreachable")
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
            E::Exposed(exposed) => refused("exposed").hint(format!("run `chmod go= {}`", exposed.path)),
            E::Disk(error) => Self::of_disk(&error),
            E::Config { .. } => refused("config").hint("correct the file; its comments explain every key"),
            E::Profile { .. } => refused("profile").hint("correct the profile"),
            E::NoProfile(_) => refused("profile")
                .hint("`device` is built in; others are templates/profiles/NAME.toml in the home"),
            E::Certificate { .. } | E::Chain(_) => refused("damaged").hint("restore the file from a backup"),
            E::Mixed { .. } => refused("mixed").hint("restore the files that belong together"),
            E::Busy { .. } => refused("busy").hint("try again, or wait longer with --wait 5m"),
            E::Store(error) => error.into(),
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
            E::NotAppended(_) => refused("disk").hint("free some room or mend the disk, then run the command again"),
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
            Refusal::Days { max, .. } => failure.hint(format!("ask for 1 to {max} days")),
            Refusal::IssuerEnds(_) => failure.hint(ROTATE),
            Refusal::IssuerNotYet(_) => failure.hint("set the clock"),
        }
    }
}

macro_rules! by_way_of_operate {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                OperateError::from(error).into()
            }
        }
    )*};
}
by_way_of_operate!(DiskError, AuthorityError);
