//! Advice on servers that are not added, certified, rotated or removed.

use crate::ca::ServersError;
use crate::cli::error::Advice;
use crate::model::Host;

impl Advice for ServersError {
    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Exists(host) => {
                format!("`pki server list` shows its keys; `pki server rotate {host}` gives it the next one")
            }
            Self::RemovedAlready { host, .. } => {
                format!("where no app goes by them, `pki server remove {host} --now` drops them at once")
            }
            Self::OtherKey(_) => "restore the file from a backup".into(),
            Self::KeyElsewhere(host) => format!(
                "where the key is, run `openssl req -new -key KEY -subj /CN={host} -addext {} -out {stem}.csr`; `pki server issue {host} --csr \
                 {stem}.csr` certifies it if it is of P-256, a public CA whatever it is",
                alternative_name(host),
                stem = host.file_stem()
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
            Self::KeyUndelivered(host, _) => format!(
                "`pki server issue {host} --out DIR` or `pki server csr {host} --out DIR` writes the key again"
            ),
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
