//! What to do where a change of a home was refused, or failed.

use super::disk::ROOM;
use super::{Advice, GOES_ON_HERE};
use crate::ca::OperateError;
use crate::disk::{self, UMASK};
use crate::model::{Host, Serial};
use crate::publish::TargetError;

/// What to do about a name that is not known.
const LIST: &str = "`pki list` shows who and what there is";

impl Advice for OperateError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Home(error) => return error.advice(),
            Self::Store(error) => return error.advice(),
            Self::Disk(error) => return error.advice(),
            Self::Authority(error) => return error.advice(),
            Self::Target(error) => return error.advice(),
            Self::Rejected(error) => return error.advice(),
            Self::Refused(refusal) => return refusal.advice(),
            Self::Key { .. } | Self::Bundle(_) => return None,
            Self::NotRecorded { .. } => ROOM.into(),
            Self::NoRoomBeside { .. } => {
                "name a home below a directory of this account, as --home /var/lib/pki/home where /var/lib/pki is its own".into()
            }
            Self::ClockBeforeProgram(_) => {
                "set the clock; if it is right all the same, repeat with --confirm CLOCK".into()
            }
            Self::ClockBehind { .. } => {
                "set the clock; if it is right and the last event's time was wrong, repeat with --confirm CLOCK".into()
            }
            Self::Copied(_) => GOES_ON_HERE.into(),
            Self::ClockAhead { .. } => "set the clock; if it is right, repeat with --confirm CLOCK".into(),
            Self::AlreadyValid { address, .. } => format!(
                "`pki renew {address}` issues a newer one; `pki revoke {address}` takes this one back"
            ),
            Self::Offboarded { employee, .. } => {
                format!("if {employee} is back, repeat with --reissue")
            }
            Self::Leaver(employee) => format!(
                "if she is gone, run `pki offboard {employee}`; if {employee} is back, repeat with --reissue"
            ),
            Self::Reserved(_) => "choose another name".into(),
            Self::NameOfAnother { .. } => {
                "give the full name: applications and people would take the one for the other".into()
            }
            Self::LockedOut { .. } => "to let the device in again, repeat with --reissue".into(),
            Self::NoDevice(address) => format!(
                "`pki list --employee {}` shows her devices; `pki issue {address}` makes one",
                address.employee
            ),
            Self::NoEmployee(name) => match name.as_str().parse::<Serial>() {
                Err(why) if Serial::resembles(name.as_str()) => why.to_string(),
                // The name of a host, for all that is known here.
                Ok(_) | Err(_) if name.as_str().contains('.') => {
                    format!("{LIST}; of a server, `pki server list` shows the keys, and `pki revoke SERIAL` takes a certificate")
                }
                Ok(_) | Err(_) => LIST.to_owned(),
            },
            Self::NoCertificate(_) => LIST.into(),
            Self::NothingToRenew(address) => {
                format!("`pki issue {address}` issues a new certificate")
            }
            Self::NotIssuedHere(address) => format!(
                "`pki issue {address}` issues a new one in its place; `pki revoke {address}` takes it back; \
                 `pki publish --keep {address}` lets it stay until it ends"
            ),
            Self::NothingRecovered(_) => {
                "`pki doctor` lists what was recovered and waits for a decision".into()
            }
            Self::TornSource(_) => "copy all of it anew, and repeat".into(),
            Self::NothingToReconcile(_) => {
                "give what a server has fetched (the --out of `pki fetch`), a directory of a [[publish]], or a CRL of this PKI".into()
            }
            Self::NeedsRequest(address) => {
                format!("repeat as `pki renew {address} --csr FILE`")
            }
            Self::TakenByBundle(_) | Self::NoList(_) => {
                "name another file with --bundle-passphrase-out FILE".into()
            }
            Self::InHome(_) | Self::InPublication(_) => {
                "name a place elsewhere, that only you can read".into()
            }
            Self::MountPoint(place) => {
                format!("name a directory below it: --home {}", place.0.join("pki").display())
            }
            Self::MediumInHome(_) => {
                "name a directory on a medium of its own with --offline-root DIR".into()
            }
            Self::NoTarget(_) => "give it as it stands there, or leave it out to publish everywhere".into(),
            Self::NotOwn(_) => "name a file of your own".into(),
            Self::KeyOfAnother(_) | Self::KeyOfCa | Self::KeyOfServer(_) => {
                "have a new key made, and a request with it: a key is one device's, or a server's".into()
            }
            Self::KeyDropped(_) => "have a new key made, and a request or certificate with it".into(),
            Self::KeyRevoked { .. } => "have the device make a new key, and a request with it".into(),
            Self::OutputDir { why, .. } if disk::is_modeless(why) => UMASK.into(),
            Self::OutputDir { .. } => "name a directory of yours with --out DIR".into(),
            Self::Exists(_) => "choose another name, or move it away".into(),
            Self::ServerExists(host) => format!(
                "`pki server list` shows its keys; `pki server rotate {host}` gives it the next one"
            ),
            Self::NoServer(host) => format!(
                "`pki server list` shows those that there are; `pki server add {host}` takes it in"
            ),
            Self::RemovedAlready { host, .. } => format!(
                "where no app goes by them, `pki server remove {host} --now` drops them at once"
            ),
            Self::OtherKey(_) => "restore the file from a backup".into(),
            Self::KeyElsewhere(host) => format!(
                "where the key is, run `openssl req -new -key KEY -subj /CN={host} -addext {} -out {stem}.csr`; `pki server issue {host} --csr \
                 {stem}.csr` certifies it if it is of P-256, a public CA whatever it is",
                alternative_name(host),
                stem = host.file_stem()
            ),
            Self::KeyInReserve(host) => format!(
                "`pki server rotate {host}` takes it into use; until then apps may not know it"
            ),
            Self::KeyRetiring(host) => format!(
                "have the key in use certified: `pki server csr {host}` writes a request for it, `pki server issue {host} --out DIR`, where its key is, certifies it here"
            ),
            Self::StrangeKey(host) => format!(
                "apps would refuse the server with it: certify the key that is pinned (`pki server csr {host}`; one that was imported, where it is: \
                 certbot keeps it with --reuse-key), and find out where this one came from",
            ),
            Self::SelfSignedCa(host) => format!(
                "make another of the same key, which keeps the pin, give it to the server, and import that: `{}`",
                self_signed(host)
            ),
            Self::CertificateOfCa => {
                "give the server's own certificate, the first one of fullchain.pem".into()
            }
            Self::NotForServers(host) => format!(
                "have it made anew with the same key and extendedKeyUsage=serverAuth: `pki server csr {host}` writes a request for a key that is \
                 here, `openssl req -new -key KEY -addext extendedKeyUsage=serverAuth` for one that is elsewhere"
            ),
            Self::OtherHost { host, found } if found.is_empty() => format!(
                "have it made anew with the same key and {}; where it is self-signed: `{}`",
                alternative_name(host),
                self_signed(host)
            ),
            Self::OtherHost { .. } => {
                "name the host that apps call, or give the certificate that is its own".into()
            }
            Self::NotGood { .. } => "give a certificate that is good now".into(),
            Self::TooSoon { host, .. } => format!(
                "`pki pins plan` tells what apps must have by then; if the key in use is lost, repeat with --confirm {host}; if somebody else may have \
                 it, with --compromised --confirm {host}"
            ),
            Self::PinNotEverywhere { host, .. } => format!(
                "`pki publish` tells what is wrong there; where nobody reads it any more, take it out of pki.toml; if the key in use is lost, \
                 rotate with --confirm {host}"
            ),
            Self::PinUnpublished(host) => format!(
                "run `pki publish`; where a rotation was cut off, `pki server csr {host}` writes the key that is in use since"
            ),
            Self::CertificateRevoked { host, .. } => {
                format!("`pki server issue {host} --out DIR`, where its key is, makes another")
            }
            Self::ActiveUnpublished(_) => "run `pki publish`, and repeat".into(),
            Self::RotatedMeanwhile(_) => "look at `pki server list`, then decide again".into(),
            Self::PinsAhead => {
                "restore the newest ledger.jsonl and servers/; only if this older state is meant, remove pins/ from every place of the publication".into()
            }
            Self::PinsUnread(_) => "mend that place, or take it out of pki.toml, then repeat".into(),
            Self::KeyUndelivered(host, _) => format!(
                "`pki server issue {host} --out DIR` or `pki server csr {host} --out DIR` writes the key again"
            ),
            Self::ReadBack(_) => "check the disk, then run the same command again".into(),
            Self::Undelivered(_) => {
                "run the same command again: it revokes that certificate and issues a new one".into()
            }
            Self::Unpublished(why) => {
                let remedy = if let Self::Rejected(rejected) = &**why { rejected.remedy() } else { "pki publish" };
                let is_full = if let Self::NotRecorded { why, .. } | Self::Disk(why) | Self::Target(TargetError::Disk(why)) = &**why {
                    why.is_full()
                } else {
                    false
                };
                let first = if is_full { "free some room, then " } else { "" };
                format!("{first}run `{remedy}` to finish the work")
            }
        })
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
