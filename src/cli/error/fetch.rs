//! Advice on fetches that failed.

use super::Advice;
use crate::cli::handed_in;
use crate::fetch::{FetchError, Serials, SourceError, Unfit};
use crate::https::{NoTrust, Trouble};
use crate::publish::InvalidStatement;

impl Advice for FetchError {
    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Disk(error) => return error.advice(),
            Self::Directory(error) => {
                return error.advice().or_else(|| {
                    Some("look at what lies there: directories and regular files, and no links".into())
                });
            }
            Self::Source { why, .. } => return why.advice(),
            Self::Refused { why, .. } => return why.advice(),
            Self::Root { .. } | Self::NoRoot { .. } => {
                "name the root's certificate with --root FILE: ca/root.crt, as the PKI's operator handed it over"
            }
            Self::RootCrl { .. } => "name a good crl/root.crl of the public half with --root-crl FILE",
            Self::OtherRoot(_) => "name that root; for another PKI, another directory: --out DIR",
            Self::OtherArea { .. } => "each half needs a directory of its own: --out DIR",
            Self::Taken { .. } => "move it away, or name another with --out DIR",
            Self::InHome { .. } => "name a directory elsewhere with --out DIR",
            Self::HomeInside { .. } => {
                "move the home away: what a fetch has put there, the next one removes with all that is in it"
            }
            Self::NoName(_) => "name a directory with --out DIR",
            Self::Forgotten { .. } => {
                "restore the newest one; where there is none, remove it and the link that --out names, and nothing else: the next fetch goes by the \
                 versions that lie beside it, and takes nothing that is older or revokes less than the newest of them"
            }
            Self::Busy { .. } => "try again, or wait longer with --wait 5m",
            Self::Torn { .. } => {
                "it is being written, was not written to its end, or was changed: run `pki publish` where the CA is"
            }
        };
        Some(advice.into())
    }
}

impl Advice for SourceError {
    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Missing => "name one half of a publication: the directory with manifest.jws in it",
            Self::Redirect { .. } => "name the address that it leads to, if it is the right one",
            Self::Slow(_) => "try again, or give it longer with --timeout 5m",
            Self::NoTrust(NoTrust::File { path, contents, .. }) => {
                return Some(handed_in::to_certificate(&path.0, contents));
            }
            Self::NoTrust(NoTrust::System(_) | NoTrust::Disk(_)) => {
                "name the certificates to trust with --ca FILE"
            }
            Self::Network(trouble) => to_reach(trouble),
            Self::Disk(_) | Self::Status(_) | Self::TooLong(_) => "look at what is served there",
        };
        Some(advice.into())
    }
}

/// What to do about a server that cannot be spoken to.
fn to_reach(trouble: &Trouble) -> &'static str {
    match trouble {
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
        Trouble::OtherHost { .. } => {
            "name the host as the certificate does: --resolve HOST:PORT:ADDR says where it is"
        }
        Trouble::Ended(_) => "renew the web server's certificate; is this clock right?",
        Trouble::NotYet(_) => "set the clocks of both machines",
        Trouble::Unfit(_) => "give the web server a certificate of its own, for servers",
        Trouble::NotTls(_) => "name the port where the server speaks https, as https://HOST:8443/",
        Trouble::Alert(_) => "look at the server's log",
        Trouble::Broken(_) => "try again; if it stays, look at the server's log",
    }
}

/// As [`to_reach`], for a service that devices renew their certificates at: it is certified below the root.
pub(super) fn to_reach_device_face(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Untrusted { .. } => {
            "--root takes the root of the PKI that the certificate is of; if it is that, the URL is not that of its \
             service's face for devices (device_host in pki.toml), or somebody else answers there: nothing was sent"
        }
        Trouble::Alert(_) => {
            "the service takes certificates of its own CA alone: name its device_host, and the certificate that it issued"
        }
        Trouble::Ended(_) => "whoever runs the service renews its certificate; is this clock right?",
        Trouble::Unfit(_) => "the URL is that of the service's face for devices: device_host in pki.toml",
        Trouble::NoAddress { .. }
        | Trouble::NobodyListens(_)
        | Trouble::OtherHost { .. }
        | Trouble::NotYet(_)
        | Trouble::NotTls(_)
        | Trouble::Broken(_) => to_reach(trouble),
    }
}

impl Advice for Unfit {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Ended(_) => {
                "run `pki publish` where the CA is, and see why its timer does not; is this clock right?".into()
            }
            Self::NotYet(_) => "set the clocks of both machines".into(),
            Self::Area { .. } => "name the other directory of the publication".into(),
            Self::Version(_) => "install a newer pki here".into(),
            Self::Older { .. } | Self::SameNumber(_) => {
                "somebody has put an older state there, or a cache serves it: run `pki publish` where the CA is; after a restore from a backup, \
                 `pki publish --published DIR` with what this machine has in place".into()
            }
            Self::Unrevoked { serials, number, rest: Some(_) } => format!(
                "look where the CA is whether it has ended there, or is revoked: `pki show SERIAL`; if so, repeat with {}; if it is not known or \
                 good there, bring what this machine has in place to it, and run `pki publish --published DIR`",
                confirming(serials, *number)
            ),
            Self::Unrevoked { serials, number, rest: None } | Self::Readmitted { serials, number } => format!(
                "bring what this machine has in place, the half `server` above all, to where the CA is, and run `pki publish --published DIR` \
                 with it there; only if that is meant to be let in again, repeat with {}",
                confirming(serials, *number)
            ),
            Self::FewerRevoked { number, .. } => format!(
                "bring what this machine has in place, the half `server` above all, to where the CA is, and run `pki publish --published DIR` \
                 with it there; only if nobody is missing among the revoked, repeat with --confirm {number}"
            ),
            Self::Abandoned { serials, number, .. } => format!(
                "publish from the home that has that CA's key; a CA may leave with its CRL when the root's CRL revokes it, when it has ended, or \
                 when all that it revokes has; only if that is meant to be let in again, repeat with {}",
                confirming(serials, *number)
            ),
            Self::PinBack { host, number, .. } => format!(
                "restore the newest ledger.jsonl and servers/ where the CA is; where they are lost, rotate there again what was rotated since: \
                 `pki server rotate {host}`; only if that key is meant to be believed again, repeat with --confirm {number}"
            ),
            Self::SetBack { .. } | Self::OtherLedger | Self::NoHistory(_) => {
                "find out where the CA is whether an older ledger.jsonl was put back there, or another home publishes: restore the newest one; where \
                 it is lost, bring what this machine has in place to it, and run `pki publish --reconcile DIR`; only then, or where an earlier pki \
                 has published, repeat with --confirm HISTORY"
                    .into()
            }
            Self::Statement(InvalidStatement::OtherRoot { root, .. }) => format!(
                "nothing was changed here. Either --root names another PKI's root: its SHA-256 is {root}, and `pki show public/ca/root.crt` in \
                 the home of the PKI that is meant tells the right one (what a source says of itself is no proof). Or somebody else publishes \
                 there: find out who can write to the source"
            ),
            Self::Statement(_)
            | Self::Unreadable(_)
            | Self::Stray { .. }
            | Self::NotListed(_)
            | Self::TooLong { .. }
            | Self::Differs(_)
            | Self::NotSignedBy(_)
            | Self::Line(_) => "nothing was changed here; find out who can write to the source".into(),
        })
    }
}

/// How whoever fetches says that these may be let in again.
fn confirming(serials: &Serials, number: u64) -> String {
    match serials.0.first() {
        Some(serial) if serials.0.len() == 1 => format!("--confirm {serial}"),
        Some(_) | None => format!("--confirm {number} for all of them, or --confirm SERIAL for each"),
    }
}
