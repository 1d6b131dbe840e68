//! The word that `--json` prints and the exit code of every error of the rooms: scripts go by them, so a line
//! of these tables changes in no release that does not say so.

use std::io;
use std::time::Duration;

use super::{Exit, Failure};
use crate::age::{AgeError, HeaderFault};
use crate::backup::BackupError;
use crate::bundle::BundleError;
use crate::ca::{
    AcmeError, CaError, Copied, CustodyError, DeliveryError, EnrollmentError, HmacError, IssuanceError,
    NotFound, PublishingError, ServersError, SessionError, SetupError, UnfitKey, Whom,
};
use crate::check::{self, CheckError, ForgeryError, Unreachable};
use crate::consumer::{ConsumerError, Language};
use crate::credential::CredentialError;
use crate::disk::{DiskError, Exposed, Modeless, Shown, failed};
use crate::fetch::{FetchError, Serials, SourceError, Unfit};
use crate::home::HomeError;
use crate::home::config::InvalidConfig;
use crate::https::{NoTrust, Trouble};
use crate::issuer::IssuerError;
use crate::key::{KeyError, SigningError, UnfitPassphrase};
use crate::model::contents::NotUtf8;
use crate::model::profile::{InvalidProfile, Refusal};
use crate::model::{
    AccountId, Address, Authority, Contents, Employee, Host, InviteId, InviteState, Pin, Pinned, Reason,
    Role, Serial, Span, Time,
};
use crate::publish::{
    Area, BucketError, CredentialsError, Gone, InvalidStatement, Rejected, StoreError as Said, TargetError,
    UnfitPins,
};
use crate::reenroll::ReenrollError;
use crate::serve::ServeError;
use crate::store::StoreError;
use crate::x509::X509Error;

/// An error as it is told, and what was promised of it.
struct Line {
    error: &'static str,
    told: Failure,
    word: &'static str,
    exit: Exit,
}

/// The lines of one enum: a variant, such an error, its word and its exit code. A variant that has no line
/// does not compile.
macro_rules! table {
    ($error:ty { $($lines:tt)* }) => {
        table!($error as $error { $($lines)* })
    };
    ($error:ty as $whole:ty { $($variant:pat = $value:expr => $word:literal, $exit:ident;)* }) => {{
        // Some variants have several lines.
        #[allow(unreachable_patterns)]
        fn has_a_line(error: &$error) {
            match error {
                $($variant => (),)*
            }
        }
        vec![$({
            let error: $error = $value;
            has_a_line(&error);
            Line { error: stringify!($value), told: <$whole>::from(error).into(), word: $word, exit: Exit::$exit }
        },)*]
    }};
}

mod network;

fn time() -> Time {
    Time::from_unix(1_700_000_000)
}

fn shown() -> Shown {
    Shown("/there".into())
}

fn host() -> Host {
    "api.example.com".parse().unwrap()
}

fn account() -> AccountId {
    AccountId::from_random([7; AccountId::LENGTH])
}

fn invite() -> InviteId {
    InviteId::from_random([7; InviteId::LENGTH])
}

fn address() -> Address {
    "alice/phone".parse().unwrap()
}

fn employee() -> Employee {
    "alice".parse().unwrap()
}

fn serial() -> Serial {
    "0102030405060708090a0b0c0d0e0f10".parse().unwrap()
}

fn why() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

fn disk() -> DiskError {
    disk_of(io::ErrorKind::PermissionDenied)
}

fn full() -> DiskError {
    disk_of(io::ErrorKind::StorageFull)
}

fn disk_of(kind: io::ErrorKind) -> DiskError {
    failed("written", "/there".as_ref())(kind.into())
}

fn x509() -> X509Error {
    X509Error::NoPem("CERTIFICATE")
}

fn serials() -> Serials {
    Serials([serial()].into())
}

fn text() -> String {
    "somehow".into()
}

fn changes() -> Vec<Line> {
    use CaError as E;
    table!(CaError {
        E::Session(_) = E::Session(SessionError::ClockAhead { clock: time(), last: time() }) => "clock-ahead", Secret;
        E::NotFound(_) = E::NotFound(NotFound::Server(host())) => "unknown", Refused;
        E::Issuance(_) = E::Issuance(IssuanceError::Reserved(address())) => "reserved", Refused;
        E::Enrollment(_) = E::Enrollment(EnrollmentError::TooLong) => "too-long", Refused;
        E::Enrollment(_) = E::Enrollment(EnrollmentError::NothingToApprove(invite())) => "nothing-to-approve", Refused;
        E::Enrollment(_) = E::Enrollment(EnrollmentError::OtherWords(invite())) => "other-words", Refused;
        E::Enrollment(_) = E::Enrollment(EnrollmentError::NothingToCompare) => "nothing-to-compare", Refused;
        E::Enrollment(_) = E::Enrollment(EnrollmentError::TooShort) => "too-short", Refused;
        E::Enrollment(_) = E::Enrollment(EnrollmentError::Ended { id: invite(), state: InviteState::Expired }) => "invite-ended", Refused;
        E::UnfitKey(_) = E::UnfitKey(UnfitKey::OfCa) => "key-in-use", Refused;
        E::Delivery(_) = E::Delivery(DeliveryError::InHome(shown())) => "place", Refused;
        E::Publishing(_) = E::Publishing(PublishingError::PinsAhead) => "pins-ahead", Refused;
        E::Servers(_) = E::Servers(ServersError::KeyElsewhere(host())) => "key-elsewhere", Refused;
        E::Acme(_) = E::Acme(AcmeError::NoAuthority) => "not-configured", Refused;
        E::Acme(_) = E::Acme(AcmeError::Address(host())) => "address", Refused;
        E::Acme(_) = E::Acme(AcmeError::TooManyNames(100)) => "names", Refused;
        E::Acme(_) = E::Acme(AcmeError::OtherSecret(shown())) => "key", Refused;
        E::Acme(_) = E::Acme(AcmeError::Several { host: host(), accounts: vec![(account(), false), (account(), true)] }) => "several", Refused;
        E::Acme(_) = E::Acme(AcmeError::NameOfAnother(host(), account(), host())) => "name", Refused;
        E::Hmac(_) = E::Hmac(HmacError::OtherSecret(shown())) => "key", Refused;
        E::Hmac(_) = E::Hmac(HmacError::Rotated(host())) => "rotated", Refused;
        E::Hmac(_) = E::Hmac(HmacError::Revoked(address())) => "revoked", Refused;
        E::Custody(_) = E::Custody(CustodyError::RootAway(shown())) => "root-away", Refused;
        E::Setup(_) = E::Setup(SetupError::MountPoint(shown())) => "place", Refused;
        E::Home(_) = E::Home(HomeError::NoProfile(text())) => "profile", Refused;
        E::Store(_) = E::Store(StoreError::Empty) => "ledger-damaged", Refused;
        E::Disk(_) = E::Disk(disk()) => "disk", Refused;
        E::Authority(_) = E::Authority(IssuerError::NothingSaid) => "authority", Refused;
        E::Bundle(_) = E::Bundle(BundleError::NotInXml('x')) => "bundle", Refused;
        E::Target(_) = E::Target(TargetError::Rival) => "target", Refused;
        E::Rejected(_) = E::Rejected(Rejected::Pem("crl")) => "publication", Refused;
        E::Refused(_) = E::Refused(Refusal::IssuerEnds(time())) => "policy", Refused;
        E::Key { why: KeyError::WrongPassphrase, .. } = E::Key { path: shown(), why: KeyError::WrongPassphrase } => "wrong-passphrase", Secret;
        E::Key { why: KeyError::NotEncryptedPkcs8, .. } = E::Key { path: shown(), why: KeyError::NotEncryptedPkcs8 } => "key", Refused;
        E::Key { why: KeyError::Unsupported(_), .. } = E::Key { path: shown(), why: KeyError::Unsupported(text()) } => "key", Refused;
        E::Key { why: KeyError::NotP256, .. } = E::Key { path: shown(), why: KeyError::NotP256 } => "key", Refused;
        E::Key { why: KeyError::NotHmac, .. } = E::Key { path: shown(), why: KeyError::NotHmac } => "key", Refused;
        E::Key { why: KeyError::PublicKey, .. } = E::Key { path: shown(), why: KeyError::PublicKey } => "key", Refused;
        E::Key { why: KeyError::Encryption(_), .. } = E::Key { path: shown(), why: KeyError::Encryption(text()) } => "key", Refused;
        E::Key { why: KeyError::NoThreads(_), .. } = E::Key { path: shown(), why: KeyError::NoThreads(text()) } => "threads", Refused;
        E::NotRecorded { .. } = E::NotRecorded { what: "it", why: disk() } => "disk", Refused;
        E::ReadBack(_) = E::ReadBack(shown()) => "disk", Refused;
        E::Exists(_) = E::Exists(shown()) => "exists", Refused;
        E::NoThreads(_) = E::NoThreads(text()) => "threads", Refused;
    })
}

fn sessions() -> Vec<Line> {
    use SessionError as E;
    table!(SessionError as CaError {
        E::Unreconciled(_) = E::Unreconciled(time()) => "unreconciled", Secret;
        E::Copied(_) = E::Copied(Copied::Beside(shown())) => "copied-home", Secret;
        E::ClockBeforeProgram(_) = E::ClockBeforeProgram(time()) => "clock-behind", Refused;
        E::ClockBehind { .. } = E::ClockBehind { clock: time(), last: time() } => "clock-behind", Refused;
        E::ClockAhead { .. } = E::ClockAhead { clock: time(), last: time() } => "clock-ahead", Secret;
    })
}

fn names() -> Vec<Line> {
    use NotFound as E;
    table!(NotFound as CaError {
        E::Device(_) = E::Device(address()) => "unknown", Refused;
        E::Employee(_) = E::Employee(employee()) => "unknown", Refused;
        E::Employee(_) = E::Employee("api.example.com".parse().unwrap()) => "unknown", Refused;
        E::Employee(_) = E::Employee("0102030405060708090a0b0c0d0e0f1".parse().unwrap()) => "unknown", Refused;
        E::Certificate(_) = E::Certificate(serial()) => "unknown", Refused;
        E::Server(_) = E::Server(host()) => "unknown", Refused;
        E::ServerCertificate(_) = E::ServerCertificate(host()) => "unknown", Refused;
        E::HmacHost(_) = E::HmacHost(host()) => "unknown", Refused;
        E::Account(..) = E::Account(account(), host()) => "unknown", Refused;
        E::Accounts(_) = E::Accounts(host()) => "unknown", Refused;
        E::Invite(_) = E::Invite(invite()) => "unknown", Refused;
    })
}

fn issuing() -> Vec<Line> {
    use IssuanceError as E;
    table!(IssuanceError as CaError {
        E::AlreadyValid { .. } = E::AlreadyValid { address: address(), serial: serial(), until: time() } => "already-valid", Refused;
        E::Offboarded { .. } = E::Offboarded { employee: employee(), since: time() } => "offboarded", Refused;
        E::Leaver(_) = E::Leaver(employee()) => "offboarded", Refused;
        E::Reserved(_) = E::Reserved(address()) => "reserved", Refused;
        E::NameOfAnother { .. } = E::NameOfAnother { address: address(), name: "Alice".parse().unwrap(), other: employee() } => "name-in-use", Refused;
        E::LockedOut { .. } = E::LockedOut { address: address(), since: time() } => "revoked", Refused;
        E::NotIssuedHere(_) = E::NotIssuedHere(address()) => "recovered", Refused;
        E::NothingToRenew(_) = E::NothingToRenew(address()) => "revoked", Refused;
        E::NeedsRequest(_) = E::NeedsRequest(address()) => "needs-csr", Refused;
    })
}

fn keys() -> Vec<Line> {
    use UnfitKey as E;
    table!(UnfitKey as CaError {
        E::Revoked { .. } = E::Revoked { address: address(), since: time(), reason: Reason::Stolen } => "key-revoked", Refused;
        E::OfAnother(_) = E::OfAnother(address()) => "key-in-use", Refused;
        E::OfServer(_) = E::OfServer(host()) => "key-in-use", Refused;
        E::OfAccount(_) = E::OfAccount(account()) => "key-in-use", Refused;
        E::Dropped(_) = E::Dropped(host()) => "key-revoked", Refused;
        E::OfCa = E::OfCa => "key-in-use", Refused;
        E::InReserve(_) = E::InReserve(host()) => "key-in-reserve", Refused;
        E::Retiring(_) = E::Retiring(host()) => "key-retiring", Refused;
        E::Strange(_) = E::Strange(host()) => "other-key", Refused;
    })
}

fn handing_out() -> Vec<Line> {
    use DeliveryError as E;
    table!(DeliveryError as CaError {
        E::OutputDir { .. } = E::OutputDir { path: shown(), why: why() } => "disk", Refused;
        E::OutputDir { .. } = E::OutputDir { path: shown(), why: io::Error::other(Modeless) } => "disk", Refused;
        E::TakenByBundle(_) = E::TakenByBundle(shown()) => "exists", Refused;
        E::InHome(_) = E::InHome(shown()) => "place", Refused;
        E::InPublication(_) = E::InPublication(shown()) => "place", Refused;
        E::NoList(_) = E::NoList(shown()) => "exists", Refused;
        E::ListBusy(_) = E::ListBusy(shown()) => "busy", Refused;
        E::NotOwn(_) = E::NotOwn(shown()) => "exposed", Refused;
        E::Undelivered(_) = E::Undelivered(Box::new(UnfitKey::OfCa.into())) => "undelivered", Incomplete;
    })
}

fn publishing() -> Vec<Line> {
    use PublishingError as E;
    table!(PublishingError as CaError {
        E::NothingRecovered(_) = E::NothingRecovered(Whom::Device(address())) => "unknown", Refused;
        E::NothingToReconcile(_) = E::NothingToReconcile(shown()) => "unknown", Refused;
        E::TornSource(_) = E::TornSource(shown()) => "publication", Refused;
        E::NoTarget(_) = E::NoTarget(shown()) => "unknown", Refused;
        E::Unpublished(_) = E::Unpublished(Box::new(UnfitKey::OfCa.into())) => "unpublished", Incomplete;
        E::Unpublished(_) = E::Unpublished(Box::new(CaError::Rejected(Rejected::Signature(Authority::Root)))) => "unpublished", Incomplete;
        E::Unpublished(_) = E::Unpublished(Box::new(CaError::Disk(full()))) => "unpublished", Incomplete;
        E::Unpublished(_) = E::Unpublished(Box::new(CaError::Target(TargetError::Disk(full())))) => "unpublished", Incomplete;
        E::Unpublished(_) = E::Unpublished(Box::new(CaError::NotRecorded { what: "it", why: full() })) => "unpublished", Incomplete;
        E::Unreconciled { .. } = E::Unreconciled { made: time(), open: vec![(shown(), text())] } => "unreconciled", Secret;
        E::PinsAhead = E::PinsAhead => "pins-ahead", Refused;
        E::PinsUnread(_) = E::PinsUnread(shown()) => "pins-unread", Refused;
    })
}

fn registers() -> Vec<Line> {
    use ServersError as E;
    table!(ServersError as CaError {
        E::Exists(_) = E::Exists(host()) => "exists", Refused;
        E::RemovedAlready { .. } = E::RemovedAlready { host: host(), until: time() } => "removed", Refused;
        E::OtherKey(_) = E::OtherKey(shown()) => "mixed", Refused;
        E::KeyElsewhere(_) = E::KeyElsewhere(host()) => "key-elsewhere", Refused;
        E::CertificateOfCa = E::CertificateOfCa => "ca", Refused;
        E::NotForServers(_) = E::NotForServers(host()) => "purpose", Refused;
        E::SelfSignedCa(_) = E::SelfSignedCa(host()) => "ca", Refused;
        E::OtherHost { .. } = E::OtherHost { host: host(), found: text() } => "other-host", Refused;
        E::OtherHost { .. } = E::OtherHost { host: host(), found: String::new() } => "other-host", Refused;
        E::NotGood { .. } = E::NotGood { from: time(), to: time() } => "not-good", Refused;
        E::TooSoon { .. } = E::TooSoon { host: host(), from: time() } => "too-soon", Refused;
        E::PinNotEverywhere { .. } = E::PinNotEverywhere { host: host(), place: shown() } => "unpublished", Refused;
        E::PinUnpublished(_) = E::PinUnpublished(host()) => "unpublished", Refused;
        E::ActiveUnpublished(_) = E::ActiveUnpublished(host()) => "unpublished", Refused;
        E::CertificateRevoked { .. } = E::CertificateRevoked { host: host(), serial: serial() } => "revoked", Refused;
        E::RotatedMeanwhile(_) = E::RotatedMeanwhile(host()) => "busy", Refused;
        E::KeyUndelivered(..) = E::KeyUndelivered(host(), Box::new(UnfitKey::OfCa.into())) => "undelivered", Incomplete;
    })
}

fn foundings() -> Vec<Line> {
    use SetupError as E;
    table!(SetupError as CaError {
        E::NoRoomBeside { .. } = E::NoRoomBeside { above: shown(), why: why() } => "disk", Refused;
        E::MountPoint(_) = E::MountPoint(shown()) => "place", Refused;
        E::MediumInHome(_) = E::MediumInHome(shown()) => "place", Refused;
    })
}

fn custody() -> Vec<Line> {
    use CustodyError as E;
    let backup = |why| E::Backup { path: shown(), why };
    table!(CustodyError as CaError {
        E::Backup { why: BackupError::Age(_), .. } = backup(AgeError::WrongPassphrase.into()) => "wrong-passphrase", Secret;
        E::Backup { why: BackupError::NotABackup, .. } = backup(BackupError::NotABackup) => "not-backup", Refused;
        E::Backup { why: BackupError::Later(_), .. } = backup(BackupError::Later(2)) => "backup-version", Refused;
        E::Backup { why: BackupError::Malformed(_), .. } = backup(BackupError::Malformed(text())) => "backup-damaged", Refused;
        E::Backup { why: BackupError::Changed(_), .. } = backup(BackupError::Changed(text())) => "backup-damaged", Refused;
        E::Backup { why: BackupError::Ledger(_), .. } = backup(BackupError::Ledger(1)) => "ledger-damaged", Refused;
        E::Backup { why: BackupError::Name(_), .. } = backup(BackupError::Name(text())) => "backup-name", Refused;
        E::Backup { why: BackupError::Moved(_), .. } = backup(BackupError::Moved(text())) => "busy", Refused;
        E::Ahead { .. } = E::Ahead { home: shown(), more: 1 } => "home-ahead", Refused;
        E::Diverged(_) = E::Diverged(shown()) => "home-diverged", Refused;
        E::AnotherPki(_) = E::AnotherPki(shown()) => "other-home", Refused;
        E::Unreadable { .. } = E::Unreadable { home: shown(), why: text() } => "home-unreadable", Refused;
        E::Unfit { .. } = E::Unfit { path: shown(), why: text() } => "backup-unfit", Refused;
        E::KeysChange = E::KeysChange => "busy", Refused;
        E::RootAway(_) = E::RootAway(shown()) => "root-away", Refused;
    })
}

fn encrypted() -> Vec<Line> {
    use AgeError as E;
    table!(AgeError {
        E::NotAge = E::NotAge => "not-age", Refused;
        E::Version(_) = E::Version(text()) => "age-version", Refused;
        E::Armor { .. } = E::Armor { line: 1, fault: "odd" } => "age-damaged", Refused;
        E::Header(_) = E::Header(HeaderFault::CutOff) => "age-damaged", Refused;
        E::Mac = E::Mac => "age-damaged", Refused;
        E::NoIdentityMatches = E::NoIdentityMatches => "wrong-identity", Secret;
        E::NotToRecipients = E::NotToRecipients => "age-lock", Refused;
        E::NotByPassphrase = E::NotByPassphrase => "age-lock", Refused;
        E::WrongPassphrase = E::WrongPassphrase => "wrong-passphrase", Secret;
        E::Damaged(_) = E::Damaged(1) => "age-damaged", Refused;
        E::CutOff(_) = E::CutOff(1) => "age-damaged", Refused;
        E::GoesOn(_) = E::GoesOn(1) => "age-damaged", Refused;
        E::NoRecipient = E::NoRecipient => "recipients", Refused;
        E::TooManyRecipients { .. } = E::TooManyRecipients { count: 2, most: 1 } => "recipients", Refused;
        E::NoThreads(_) = E::NoThreads(text()) => "threads", Refused;
        E::NoMemory(_) = E::NoMemory(1) => "memory", Refused;
        E::Io(_) = E::Io(why()) => "disk", Refused;
    })
}

fn homes() -> Vec<Line> {
    use HomeError as E;
    table!(HomeError {
        E::Missing(_) = E::Missing(shown()) => "no-home", Refused;
        E::NotAHome(..) = E::NotAHome(shown(), "ledger.jsonl") => "no-home", Refused;
        E::OtherAccount { .. } = E::OtherAccount { path: shown(), owner: text(), me: text() } => "other-account", Refused;
        E::Exposed(_) = E::Exposed(Exposed::new("/there".as_ref(), 0o777)) => "exposed", Refused;
        E::Disk(_) = E::Disk(disk()) => "disk", Refused;
        E::Disk(_) = E::Disk(disk_of(io::ErrorKind::NotFound)) => "disk", Refused;
        E::Config { .. } = E::Config { path: shown(), why: InvalidConfig::Syntax(text()) } => "config", Refused;
        E::Profile { .. } = E::Profile { name: text(), why: InvalidProfile::Syntax(text()) } => "profile", Refused;
        E::Template { .. } = E::Template { path: shown(), why: NotUtf8::Other } => "template", Refused;
        E::NoProfile(_) = E::NoProfile(text()) => "profile", Refused;
        E::Certificate { .. } = E::Certificate { path: shown(), why: x509() } => "damaged", Refused;
        E::Chain(_) = E::Chain(IssuerError::KeyMismatch("root")) => "damaged", Refused;
        E::Mixed { .. } = E::Mixed { path: shown() } => "mixed", Refused;
        E::ServersMade = E::ServersMade => "busy", Refused;
        E::Restored(_) = E::Restored(shown()) => "restored", Refused;
        E::Busy { .. } = E::Busy { holder: text(), waited: Duration::ZERO } => "busy", Refused;
        E::Store(_) = E::Store(StoreError::IndexBusy) => "busy", Refused;
    })
}

fn disks() -> Vec<Line> {
    table!(DiskError {
        DiskError { .. } = disk() => "disk", Refused;
        DiskError { .. } = full() => "disk", Refused;
        DiskError { .. } = disk_of(io::ErrorKind::NotFound) => "disk", Refused;
        DiskError { .. } = disk_of(io::ErrorKind::ReadOnlyFilesystem) => "disk", Refused;
        DiskError { .. } = disk_of(io::ErrorKind::TimedOut) => "disk", Refused;
        DiskError { .. } = disk_of(io::ErrorKind::Other) => "disk", Refused;
        DiskError { .. } = failed("kept private", "/there".as_ref())(io::Error::other(Modeless)) => "disk", Refused;
    })
}

fn ledgers() -> Vec<Line> {
    use StoreError as E;
    table!(StoreError {
        E::Disk(_) = E::Disk(disk()) => "disk", Refused;
        E::NotAppended(_) = E::NotAppended(disk()) => "disk", Refused;
        E::OutcomeUnknown { .. } = E::OutcomeUnknown { append: disk(), undo: text() } => "unknown-outcome", Incomplete;
        E::Encoding(_) = E::Encoding(text()) => "bug", Bug;
        E::Damaged { .. } = E::Damaged { seq: 1, offset: 0, why: text() } => "ledger-damaged", Refused;
        E::Ahead { .. } = E::Ahead { ledger: 1, index: 2 } => "events-missing", Refused;
        E::Moved { .. } = E::Moved { expected: 1, found: 2 } => "busy", Refused;
        E::Empty = E::Empty => "ledger-damaged", Refused;
        E::IndexBusy = E::IndexBusy => "busy", Refused;
        E::NoThreads(_) = E::NoThreads(text()) => "threads", Refused;
        E::Index(_) = E::Index(text()) => "index", Refused;
    })
}

fn authorities() -> Vec<Line> {
    use IssuerError as E;
    table!(IssuerError {
        E::X509(_) = E::X509(x509()) => "authority", Refused;
        E::Key(_) = E::Key(KeyError::WrongPassphrase) => "authority", Refused;
        E::Signing(_) = E::Signing(SigningError::Wrong) => "authority", Refused;
        E::KeyMismatch(_) = E::KeyMismatch("root") => "mixed", Refused;
        E::ChainBroken(_) = E::ChainBroken("root") => "authority", Refused;
        E::SharedKey(..) = E::SharedKey("root", "issuing CA") => "shared-key", Refused;
        E::NothingSaid = E::NothingSaid => "authority", Refused;
        E::OtherNames = E::OtherNames => "authority", Refused;
        E::NotOurs(_) = E::NotOurs("root") => "authority", Refused;
        E::OutOfDate { .. } = E::OutOfDate { who: "root", from: time(), to: time(), at: time() } => "authority", Refused;
        E::OutOfDate { .. } = E::OutOfDate { who: "root", from: time(), to: time(), at: Time::from_unix(1_800_000_000) } => "authority", Refused;
    })
}

fn policies() -> Vec<Line> {
    use Refusal as E;
    table!(Refusal {
        E::Days { .. } = E::Days { asked: 400, max: 398, profile: text() } => "policy", Refused;
        E::ServerDays { .. } = E::ServerDays { asked: 400, max: 398 } => "policy", Refused;
        E::Host(_) = E::Host(host()) => "policy", Refused;
        E::IssuerEnds(_) = E::IssuerEnds(time()) => "policy", Refused;
        E::IssuerNotYet(_) = E::IssuerNotYet(time()) => "policy", Refused;
    })
}

fn places() -> Vec<Line> {
    use BucketError as B;
    use TargetError as E;
    table!(TargetError as CaError {
        E::Unconfigured(_) = E::Unconfigured(text()) => "target", Refused;
        E::Forgotten(_) = E::Forgotten(text()) => "target", Refused;
        E::Disk(_) = E::Disk(disk()) => "target", Refused;
        E::Disk(_) = E::Disk(disk_of(io::ErrorKind::NotFound)) => "target", Refused;
        E::Home = E::Home => "target", Refused;
        E::Shared(_) = E::Shared(shown()) => "target", Refused;
        E::OtherCa(_) = E::OtherCa(text()) => "target", Refused;
        E::OtherHalf { .. } = E::OtherHalf { there: Area::Public, wanted: Area::Server } => "target", Refused;
        E::Rival = E::Rival => "target", Refused;
        E::Gone(_) = E::Gone(Gone("devices.json")) => "target", Refused;
        E::Bucket(B::Gone(_)) = E::Bucket(B::Gone(Gone("devices.json"))) => "target", Refused;
        E::UnknownPins = E::UnknownPins => "target", Refused;
        E::ServersRevoked = E::ServersRevoked => "target", Refused;
        E::AwaitsKey = E::AwaitsKey => "target", Refused;
        E::Bucket(B::Credentials(_)) = E::Bucket(B::Credentials(CredentialsError::Disk(disk()))) => "target", Refused;
        E::Bucket(B::Store { .. }) = E::Bucket(B::Store { key: text(), why: Said::Network(text()) }) => "target", Refused;
        E::Bucket(B::Unreachable(_)) = E::Bucket(B::Unreachable(Said::Network(text()))) => "target", Refused;
        E::Bucket(B::Superseded { .. }) = E::Bucket(B::Superseded { there: 2, ours: 1 }) => "target", Refused;
        E::Bucket(B::Contended(_)) = E::Bucket(B::Contended(text())) => "target", Refused;
    })
}

fn publications() -> Vec<Line> {
    use Rejected as E;
    table!(Rejected as CaError {
        E::Unreadable(..) = E::Unreadable(Authority::Root, x509()) => "publication", Refused;
        E::Signature(_) = E::Signature(Authority::Issuing) => "publication", Refused;
        E::Ended(..) = E::Ended(Authority::Root, time()) => "publication", Refused;
        E::NotYet(..) = E::NotYet(Authority::Root, time()) => "publication", Refused;
        E::Older { .. } = E::Older { authority: Authority::Root, number: 1, published: 2 } => "publication", Refused;
        E::SameNumber(..) = E::SameNumber(Authority::Root, 1) => "publication", Refused;
        E::Entries(..) = E::Entries(Authority::Root, text()) => "publication", Refused;
        E::Pem(_) = E::Pem("crl") => "publication", Refused;
        E::Pins(_) = E::Pins(UnfitPins::Few(text())) => "publication", Refused;
    })
}

fn bundles() -> Vec<Line> {
    use BundleError as E;
    table!(BundleError as CaError {
        E::Passphrase(_) = E::Passphrase(UnfitPassphrase::Empty) => "bundle", Refused;
        E::Encoding(_) = E::Encoding(der::ErrorKind::Failed.into()) => "bundle", Refused;
        E::TooLongForCode(_) = E::TooLongForCode(9_999) => "bundle", Refused;
        E::Png(_) = E::Png(png::EncodingError::LimitsExceeded) => "bundle", Refused;
        E::Template(_) = E::Template(minijinja::ErrorKind::SyntaxError.into()) => "bundle", Refused;
        E::NotInXml(_) = E::NotInXml('x') => "bundle", Refused;
    })
}

fn configurations() -> Vec<Line> {
    use ConsumerError as E;
    table!(ConsumerError {
        E::Unsayable(_) = Language::Nginx.quote("$").unwrap_err().into() => "refused", Refused;
        E::NotText(_) = E::NotText(text()) => "refused", Refused;
        E::Relative(_) = E::Relative(text()) => "refused", Refused;
        E::KeyElsewhere { .. } = E::KeyElsewhere { certificate: text(), key: text() } => "refused", Refused;
        E::Template { .. } = E::Template { name: "nginx", line: 1, why: text() } => "refused", Refused;
        E::OneHost { .. } = E::OneHost { name: "nginx", value: "hosts" } => "refused", Refused;
        E::SeveralHosts(_) = E::SeveralHosts(2) => "refused", Refused;
    })
}

fn servers_looked_at() -> Vec<Line> {
    use CheckError as E;
    let address = || ([127, 0, 0, 1], 443).into();
    table!(CheckError {
        E::Unreachable(Unreachable::NoAddress { .. }) = Unreachable::NoAddress { host: text(), why: why() }.into() => "no-address", Refused;
        E::Unreachable(Unreachable::NoAnswer { .. }) = Unreachable::NoAnswer { host: text(), address: address(), why: why() }.into() => "unreachable", Refused;
        E::NotTls(_) = E::NotTls(address()) => "not-tls", Refused;
        E::Silent { .. } = E::Silent { address: address(), why: why() } => "unreachable", Refused;
        E::RefusesAll { .. } = E::RefusesAll { address: address(), how: check::Refusal::Closed } => "not-tls", Refused;
        E::Forgery(_) = E::Forgery(ForgeryError::Unreadable) => "bug", Bug;
    })
}

#[test]
fn every_error_has_the_word_and_the_exit_code_that_scripts_go_by() {
    let tables = [
        changes(),
        sessions(),
        names(),
        issuing(),
        keys(),
        handing_out(),
        publishing(),
        registers(),
        foundings(),
        custody(),
        encrypted(),
        homes(),
        disks(),
        ledgers(),
        authorities(),
        policies(),
        places(),
        publications(),
        bundles(),
        configurations(),
        servers_looked_at(),
        network::fetches(),
        network::services(),
        network::credentials(),
        network::renewals(),
    ];
    for Line {
        error,
        told,
        word,
        exit,
    } in tables.into_iter().flatten()
    {
        let document = serde_json::to_value(&told).unwrap();
        assert_eq!(
            (document["kind"].as_str(), told.exit),
            (Some(word), exit),
            "{error}"
        );
    }
}
