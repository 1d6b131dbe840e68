//! Why an operation was refused or failed.

use super::residence::Copied;
use super::revocation::Whom;
use crate::bundle::BundleError;
use crate::disk::{DiskError, Shown};
use crate::home::HomeError;
use crate::issuer::IssuerError;
use crate::key::KeyError;
use crate::model::fault::{Fault, Kind};
use crate::model::profile::Refusal;
use crate::model::{Address, Employee, Host, PersonName, Serial, Time};
use crate::publish::{Rejected, TargetError};
use crate::store::StoreError;

/// Why an operation was refused or failed. Unless it says so, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// The home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The ledger or its index.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A CA.
    #[error(transparent)]
    Authority(#[from] IssuerError),
    /// A key file.
    #[error("{path} {why}")]
    Key {
        /// Which file.
        path: Shown,
        /// What is wrong with it.
        why: KeyError,
    },
    /// A bundle could not be made.
    #[error("the bundle could not be made: {0}")]
    Bundle(#[from] BundleError),
    /// A home cannot be made beside its place.
    #[error("a home is made beside its place, and {above} cannot be written: {why}")]
    NoRoomBeside {
        /// The directory above.
        above: Shown,
        /// The system's words.
        why: std::io::Error,
    },
    /// A target of a publication.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The publication is not fit to go out.
    #[error("nothing was published: {0}")]
    Rejected(#[from] Rejected),
    /// Policy.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It may be a copy of a home that is in use.
    #[error("{0}: it issues and publishes nothing until you say that the PKI goes on here")]
    Copied(Copied),
    /// The clock stands before there was such a program.
    #[error(
        "the clock says {0}, before this program was made: certificates would have ended, and CRLs be out of date, by every right clock"
    )]
    ClockBeforeProgram(Time),
    /// The clock stands before the last event.
    #[error("the clock says {clock}, and the last event was recorded at {last}: the clock is behind")]
    ClockBehind {
        /// What the clock says.
        clock: Time,
        /// The last event's time.
        last: Time,
    },
    /// The clock stands far after the last event.
    #[error("the clock says {clock}, and nothing has happened here since {last}: the clock may be ahead")]
    ClockAhead {
        /// What the clock says.
        clock: Time,
        /// The last event's time.
        last: Time,
    },
    /// The device has a certificate.
    #[error("{address} has a valid certificate, until {}", .until.date())]
    AlreadyValid {
        /// Which device.
        address: Address,
        /// Its certificate.
        serial: Serial,
        /// Its end.
        until: Time,
    },
    /// The employee left.
    #[error("{employee} was offboarded on {}", .since.date())]
    Offboarded {
        /// Who.
        employee: Employee,
        /// Since when.
        since: Time,
    },
    /// A CRL that was taken in says that she left.
    #[error(
        "{0} was locked out for having left, and is not offboarded in this ledger, which is from an older backup"
    )]
    Leaver(Employee),
    /// The name is kept for canaries.
    #[error("{0} is no device's name: `pki check` issues certificates to itself under it")]
    Reserved(Address),
    /// The name would make one employee's certificate look like another's.
    #[error("{address} cannot be called \"{name}\": that is how the employee {other} goes")]
    NameOfAnother {
        /// Whose certificate it would be.
        address: Address,
        /// The name.
        name: PersonName,
        /// Whose it is.
        other: Employee,
    },
    /// There is no such device.
    #[error("there is no device {0}")]
    NoDevice(Address),
    /// There is no such certificate.
    #[error("there is no certificate {0}")]
    NoCertificate(Serial),
    /// A listed device was locked out, and stays so.
    #[error("{address} was revoked on {}", .since.date())]
    LockedOut {
        /// Which device.
        address: Address,
        /// Since when.
        since: Time,
    },
    /// The ledger knows the device by a published list alone.
    #[error(
        "the ledger knows {0} by a published list alone: what it was issued with is not known, and nothing can be renewed from it"
    )]
    NotIssuedHere(Address),
    /// Nothing of that name was recovered from a list.
    #[error("nothing of {0} was recovered from a published list")]
    NothingRecovered(Whom),
    /// The operator handed in something that is none of this PKI's publications.
    #[error("{0} holds no publication and no CRL of this PKI")]
    NothingToReconcile(Shown),
    /// What the operator handed in is not whole.
    #[error("{0} is missing there, or not what the signed manifest says: the copy is not whole")]
    TornSource(Shown),
    /// There is no such employee.
    #[error("there is no employee {0}")]
    NoEmployee(Employee),
    /// The device has nothing that could be renewed.
    #[error("{0} has no certificate that could be renewed: the last one is revoked")]
    NothingToRenew(Address),
    /// A key of the device's own making cannot be renewed here.
    #[error("{0} made its own key and was issued by CSR")]
    NeedsRequest(Address),
    /// The directory for bundles takes none.
    #[error("no file can be put into {path}: {why}")]
    OutputDir {
        /// Which directory.
        path: Shown,
        /// The system's words.
        why: std::io::Error,
    },
    /// A file is in the way.
    #[error("{0} exists already")]
    Exists(Shown),
    /// A home cannot take the place of a mounted file system.
    #[error("{0} is where a file system is mounted, which cannot be replaced by a home")]
    MountPoint(Shown),
    /// The root's key would not be kept apart from the home.
    #[error("{0} is no place for an offline root: it lies in the home")]
    MediumInHome(Shown),
    /// A name for the passphrase that the bundle's own files have.
    #[error("{0} cannot hold the passphrase: a file of the bundle has that name")]
    TakenByBundle(Shown),
    /// Something that is handed out would lie in the home.
    #[error("{0} lies in the home, which holds the PKI's own files and nothing else")]
    InHome(Shown),
    /// Something that is handed out would lie where it is published.
    #[error("{0} lies in a directory that is published to: others can read what is there")]
    InPublication(Shown),
    /// A file that passphrases would be appended to holds something else.
    #[error(
        "{0} is no list of passphrases: it must be empty, or begin and end with a line ADDRESS<TAB>PASSPHRASE"
    )]
    NoList(Shown),
    /// A file for secrets is another account's, or no file.
    #[error("{0} is not a file of this account")]
    NotOwn(Shown),
    /// The key of a request was taken back because somebody else has it, or may have.
    #[error("this key was revoked as {reason} on {}, with {address}", .since.date())]
    KeyRevoked {
        /// Whose it was.
        address: Address,
        /// Since when.
        since: Time,
        /// Why.
        reason: crate::model::Reason,
    },
    /// The key of a request is certified for another device.
    #[error("this key is the one of {0}")]
    KeyOfAnother(Address),
    /// The key of a request is a server's.
    #[error("this key is the one of the server {0}")]
    KeyOfServer(Host),
    /// The key was given up because somebody else may have it.
    #[error("this key was given up as compromised, with {0}")]
    KeyDropped(Host),
    /// The key of a request is a CA's.
    #[error("this key is the one of a CA here")]
    KeyOfCa,
    /// pki.toml names no such directory.
    #[error("no [[publish]] of pki.toml names the directory {0}")]
    NoTarget(Shown),
    /// There is a server of this name.
    #[error("{0} is a server here already")]
    ServerExists(Host),
    /// There is no such server.
    #[error("there is no server {0}")]
    NoServer(Host),
    /// A server was removed before, and its pins leave later.
    #[error("{host} is removed already, and its pins stay published until {}", until.date())]
    RemovedAlready {
        /// Which server.
        host: Host,
        /// Until when.
        until: Time,
    },
    /// A key file of a server has another key in it.
    #[error("{0} does not hold the key that its name says")]
    OtherKey(Shown),
    /// The server made its own key.
    #[error("the key of {0} was not made here: this home has its pin alone")]
    KeyElsewhere(Host),
    /// The certificate's key is the one in reserve.
    #[error("the certificate is for the backup key of {0}, which is not in use")]
    KeyInReserve(Host),
    /// The certificate's key is one that the server used before.
    #[error("the certificate is for a key that {0} has used before, and that is retiring")]
    KeyRetiring(Host),
    /// The certificate's key is none of the server's.
    #[error("the key of the certificate is neither the active nor the backup key of {0}")]
    StrangeKey(Host),
    /// The certificate is a CA's.
    #[error("it is the certificate of a CA, whose key cannot stand for a server")]
    CertificateOfCa,
    /// The certificate is for other purposes.
    #[error(
        "the certificate is not for servers (its extendedKeyUsage lacks serverAuth): clients refuse {0} with it"
    )]
    NotForServers(Host),
    /// The server vouches for itself as a CA.
    #[error(
        "the certificate is self-signed and says that it is a CA's (basicConstraints CA:TRUE, as openssl makes it unless told otherwise): clients differ in whether they take that for a server's"
    )]
    SelfSignedCa(Host),
    /// The certificate is another server's.
    #[error("the certificate does not name {host}, but {}", if .found.is_empty() { "no host at all: it has no subject alternative name" } else { .found.as_str() })]
    OtherHost {
        /// The server.
        host: Host,
        /// Whom it names.
        found: String,
    },
    /// The certificate is not good now.
    #[error("the certificate is good from {from} to {to}, not now")]
    NotGood {
        /// Its first second.
        from: Time,
        /// Its last second.
        to: Time,
    },
    /// The pin of the key in reserve was published too short a time ago.
    #[error("the pin of the backup key of {host} has not been published for long enough: before {} apps in the field may not know it", .from.date())]
    TooSoon {
        /// The server.
        host: Host,
        /// From when on it can be used.
        from: Time,
    },
    /// A place could not be written since the pin was signed.
    #[error(
        "apps that read {place} do not know the pin of {host} that they would be held to: that place could not be written since it was signed"
    )]
    PinNotEverywhere {
        /// The server.
        host: Host,
        /// The place.
        place: Shown,
    },
    /// The pin of the key in reserve was never published.
    #[error("the pin of the backup key of {0} was never published: no app knows it")]
    PinUnpublished(Host),
    /// The pin of the key in use is in no pin set that is published and in force.
    #[error(
        "the pin of the key of {0} is in no pin set that is published and has not ended: apps do not know it"
    )]
    ActiveUnpublished(Host),
    /// A server's certificate is on the CRL.
    #[error("certificate {serial} of {host} is revoked: apps that read the CRL refuse it")]
    CertificateRevoked {
        /// Of which server.
        host: Host,
        /// Its serial number.
        serial: Serial,
    },
    /// Somebody else has rotated the server's key between two looks.
    #[error("the keys of {0} were rotated by another process")]
    RotatedMeanwhile(Host),
    /// The published pin sets are later than the ledger.
    #[error(
        "the published pin sets are later than what this ledger knows: it was restored from an older backup"
    )]
    PinsAhead,
    /// Pin sets may stand where they cannot be read.
    #[error("the pin sets in {0} cannot be read: they may be later than what this ledger knows")]
    PinsUnread(Shown),
    /// Something that follows from what is recorded could not be recorded itself.
    #[error("{}: {why}", if why.is_full() { format!("no room to record {what}") } else { format!("{what} could not be recorded") })]
    NotRecorded {
        /// What it is.
        what: &'static str,
        /// Why.
        why: DiskError,
    },
    /// It is recorded, and the files did not reach their place.
    #[error("it is recorded, but the files of {0} were not written: {1}")]
    KeyUndelivered(Host, Box<Self>),
    /// The file that was written is not what is on disk.
    #[error("{0} does not read back as it was written")]
    ReadBack(Shown),
    /// Bundles were committed but did not reach their place: the same command again issues them anew.
    #[error("the certificate was recorded, but its bundle was not delivered: {0}")]
    Undelivered(Box<Self>),
    /// What was recorded could not be published.
    #[error("{}", unpublished(.0))]
    Unpublished(Box<Self>),
}

impl Fault for OperateError {
    fn kind_and_code(&self) -> (Kind, &'static str) {
        match self {
            Self::Home(error) => error.kind_and_code(),
            Self::Store(error) => error.kind_and_code(),
            Self::Disk(error) => error.kind_and_code(),
            Self::Authority(error) => error.kind_and_code(),
            Self::Key { why, .. } => why.kind_and_code(),
            Self::Bundle(error) => error.kind_and_code(),
            Self::Target(error) => error.kind_and_code(),
            Self::Rejected(error) => error.kind_and_code(),
            Self::Refused(error) => error.kind_and_code(),
            Self::NotRecorded { .. }
            | Self::ReadBack(_)
            | Self::NoRoomBeside { .. }
            | Self::OutputDir { .. } => (Kind::Storage, "disk"),
            Self::NotOwn(_) => (Kind::Storage, "exposed"),
            Self::Copied(_) => (Kind::ConfirmationNeeded, "copied-home"),
            Self::ClockAhead { .. } => (Kind::ConfirmationNeeded, "clock-ahead"),
            Self::ClockBeforeProgram(_) | Self::ClockBehind { .. } => (Kind::ClockDoubt, "clock-behind"),
            Self::NoDevice(_)
            | Self::NoEmployee(_)
            | Self::NoCertificate(_)
            | Self::NoServer(_)
            | Self::NoTarget(_)
            | Self::NothingRecovered(_) => (Kind::NotFound, "unknown"),
            Self::AlreadyValid { .. } => (Kind::Conflict, "already-valid"),
            Self::Offboarded { .. } | Self::Leaver(_) => (Kind::Conflict, "offboarded"),
            Self::NameOfAnother { .. } => (Kind::Conflict, "name-in-use"),
            Self::LockedOut { .. } | Self::NothingToRenew(_) | Self::CertificateRevoked { .. } => {
                (Kind::Conflict, "revoked")
            }
            Self::NotIssuedHere(_) => (Kind::Conflict, "recovered"),
            Self::Exists(_) | Self::TakenByBundle(_) | Self::NoList(_) | Self::ServerExists(_) => {
                (Kind::Conflict, "exists")
            }
            Self::RemovedAlready { .. } => (Kind::Conflict, "removed"),
            Self::KeyElsewhere(_) => (Kind::Conflict, "key-elsewhere"),
            Self::PinNotEverywhere { .. } | Self::PinUnpublished(_) | Self::ActiveUnpublished(_) => {
                (Kind::Conflict, "unpublished")
            }
            Self::RotatedMeanwhile(_) => (Kind::Conflict, "busy"),
            Self::Reserved(_) => (Kind::PolicyRefused, "reserved"),
            Self::TooSoon { .. } => (Kind::PolicyRefused, "too-soon"),
            Self::KeyOfAnother(_) | Self::KeyOfServer(_) | Self::KeyOfCa => (Kind::KeyRefused, "key-in-use"),
            Self::KeyRevoked { .. } | Self::KeyDropped(_) => (Kind::KeyRefused, "key-revoked"),
            Self::KeyInReserve(_) => (Kind::KeyRefused, "key-in-reserve"),
            Self::KeyRetiring(_) => (Kind::KeyRefused, "key-retiring"),
            Self::StrangeKey(_) => (Kind::KeyRefused, "other-key"),
            Self::NeedsRequest(_) => (Kind::BadRequest, "needs-csr"),
            Self::MountPoint(_) | Self::MediumInHome(_) | Self::InHome(_) | Self::InPublication(_) => {
                (Kind::BadRequest, "place")
            }
            Self::NothingToReconcile(_) => (Kind::BadRequest, "unknown"),
            Self::TornSource(_) => (Kind::BadRequest, "publication"),
            Self::CertificateOfCa | Self::SelfSignedCa(_) => (Kind::BadRequest, "ca"),
            Self::NotForServers(_) => (Kind::BadRequest, "purpose"),
            Self::OtherHost { .. } => (Kind::BadRequest, "other-host"),
            Self::NotGood { .. } => (Kind::BadRequest, "not-good"),
            Self::OtherKey(_) => (Kind::Damaged, "mixed"),
            Self::PinsAhead => (Kind::Damaged, "pins-ahead"),
            Self::PinsUnread(_) => (Kind::Elsewhere, "pins-unread"),
            Self::Undelivered(_) | Self::KeyUndelivered(..) => (Kind::Incomplete, "undelivered"),
            Self::Unpublished(_) => (Kind::Incomplete, "unpublished"),
        }
    }
}

/// The event that comes when every place has its publication.
pub(super) const PUBLISHED: &str = "that it was published";

fn unpublished(why: &OperateError) -> String {
    if matches!(why, OperateError::NotRecorded { what: PUBLISHED, .. }) {
        format!("it is recorded and published, but the work is not done: {why}")
    } else {
        format!("it is recorded, but not published: {why}")
    }
}

/// Names what could not be recorded where something else is recorded already: that "nothing was recorded"
/// would be false.
pub(super) fn recording(what: &'static str) -> impl Fn(OperateError) -> OperateError {
    move |error| {
        if let OperateError::Store(StoreError::NotAppended(why)) = error {
            OperateError::NotRecorded { what, why }
        } else {
            error
        }
    }
}
