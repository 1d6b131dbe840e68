use std::fmt;
use std::path::Path;

use data_encoding::{BASE64, HEXUPPER};
use serde::Serialize;

use crate::disk;
use crate::model::{Address, Encoding, Serial, Status, Time};
use crate::x509::crl::Crl;
use crate::x509::request::Request;
use crate::x509::{Certificate, X509Error, pem};

use super::context::{Context, system_clock};
use super::escaped;
use super::failure::{Exit, Failure};
use super::show::Pem;
use super::show_statement;

/// The largest file that is read.
const FILE: u64 = 256 << 20;

/// What a file holds, item by item.
pub fn show_file(path: &Path, as_pem: bool, context: &Context) -> Result<Exit, Failure> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => {
            return Err(Failure::refused(format!("{shown} is a directory")).hint("name one file in it"));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::new(
                Exit::Refused,
                "unknown",
                format!("there is no file {shown}"),
            ));
        }
        Ok(_) | Err(_) => {}
    }
    let octets = disk::read_given(path, FILE)?;
    if Encoding::of(&octets) == Encoding::Pkcs12 {
        return Err(
            Failure::refused(format!("{shown} is a PKCS#12 bundle: what is in it is encrypted")).hint(
                format!(
                    "`pki show EMPLOYEE/DEVICE` shows what was issued; \
                 `openssl pkcs12 -nokeys -info -in {shown}` asks for its passphrase and opens it"
                ),
            ),
        );
    }
    if let Some(statement) = show_statement::read(&octets, &shown, context) {
        let statement = statement?;
        if as_pem {
            return Err(
                Failure::refused(format!("{shown} is a signed statement, which has no PEM"))
                    .hint(format!("`pki show {shown}` shows what it says")),
            );
        }
        context.ui.report(&statement)?;
        return Ok(Exit::Done);
    }
    let mut items = items(&octets);
    recognize(&mut items, context);
    let readable = |item: &&Item| !matches!(item.says, Says::Other { .. });
    if items.iter().filter(readable).count() == 0 {
        let why = items.iter().find_map(|item| match &item.says {
            Says::Other { why, .. } => Some(format!(": {why}")),
            Says::Certificate { .. } | Says::Crl { .. } | Says::Request { .. } => None,
        });
        return Err(Failure::refused(format!(
            "{shown} has no certificate with a P-256 key, no CRL that this program writes and no such request{}",
            why.unwrap_or_default()
        ))
        .hint("`openssl x509 -text`, `openssl crl -text` or `openssl req -text` may tell more"));
    }
    if as_pem {
        for item in &items {
            match &item.says {
                Says::Other { label, why } => context.ui.warn(format!("{label} is left out: {why}")),
                Says::Certificate { .. } | Says::Crl { .. } | Says::Request { .. } => {}
            }
        }
        let pem = items.iter().filter(readable).map(Item::pem).collect();
        context.ui.report(&Pem { pem })?;
        return Ok(Exit::Done);
    }
    context.ui.report(&Report::new(items))?;
    Ok(Exit::Done)
}

/// One thing in a file.
struct Item {
    label: &'static str,
    der: Vec<u8>,
    says: Says,
}

impl Item {
    fn pem(&self) -> String {
        pem::encode(self.label, &self.der)
    }
}

/// Everything in a file: one thing in DER, or the blocks of a PEM file in their order.
fn items(octets: &[u8]) -> Vec<Item> {
    if octets.first() == Some(&0x30) {
        let der = octets.to_vec();
        let read = [certificate as fn(&[u8]) -> _, crl, request];
        let labels = [pem::CERTIFICATE, pem::CRL, pem::REQUEST];
        let found = labels
            .into_iter()
            .zip(read)
            .find_map(|(label, read)| Some((label, read(&der).ok()?)));
        return found
            .map(|(label, says)| Item { label, der, says })
            .into_iter()
            .collect();
    }
    let blocks = x509_parser::pem::Pem::iter_from_buffer(octets);
    blocks
        .map(|block| match block {
            Ok(block) => {
                let (label, says) = match block.label.as_str() {
                    pem::CERTIFICATE => (pem::CERTIFICATE, certificate(&block.contents)),
                    pem::CRL => (pem::CRL, crl(&block.contents)),
                    pem::REQUEST => (pem::REQUEST, request(&block.contents)),
                    other if other.ends_with("PRIVATE KEY") => ("", Err("private keys are not shown".into())),
                    _ => (
                        "",
                        Err("it is neither a certificate nor a CRL nor a request".into()),
                    ),
                };
                let says = says.unwrap_or_else(|why| Says::Other {
                    label: escaped(&block.label),
                    why,
                });
                Item {
                    label,
                    der: block.contents,
                    says,
                }
            }
            Err(error) => Item {
                label: "",
                der: Vec::new(),
                says: Says::Other {
                    label: "a PEM block".into(),
                    why: format!("it is damaged: {error}"),
                },
            },
        })
        .collect()
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Says {
    Certificate {
        subject: String,
        issuer: String,
        serial: String,
        not_before: Time,
        not_after: Time,
        ca: bool,
        spki_sha256: String,
        sha256: String,
        /// What the ledger says of it, where this PKI issued it.
        #[serde(flatten)]
        known: Option<Known>,
    },
    Crl {
        number: u64,
        this_update: Time,
        next_update: Time,
        entries: Vec<CrlEntry>,
    },
    Request {
        spki_sha256: String,
    },
    /// What is not shown.
    Other {
        label: String,
        why: String,
    },
}

#[derive(Debug, Serialize)]
struct Known {
    address: Address,
    status: Status,
}

#[derive(Debug, Serialize)]
struct CrlEntry {
    serial: Serial,
    revoked_at: Time,
    reason: String,
}

fn certificate(der: &[u8]) -> Result<Says, String> {
    let certificate = Certificate::from_der(der).map_err(|why| why.to_string())?;
    Ok(Says::Certificate {
        subject: escaped(certificate.subject_text()),
        issuer: escaped(certificate.issuer_text()),
        serial: HEXUPPER.encode(certificate.serial()),
        not_before: certificate.validity().not_before,
        not_after: certificate.validity().not_after,
        ca: certificate.is_ca(),
        spki_sha256: BASE64.encode(&certificate.public_key().spki_sha256()),
        sha256: HEXUPPER.encode(&certificate.sha256()),
        known: None,
    })
}

/// Adds what the ledger says of the certificates that it knows. A file can be shown without a home as well.
fn recognize(items: &mut [Item], context: &Context) {
    let Some(store) = context.open().ok().and_then(|home| home.read().ok()) else {
        return;
    };
    for item in items {
        let Says::Certificate {
            serial,
            sha256,
            known,
            ..
        } = &mut item.says
        else {
            continue;
        };
        let record = serial.parse().ok().and_then(|serial| store.record(&serial).ok()?);
        *known = record
            .filter(|record| HEXUPPER.encode(&record.certificate_sha256) == *sha256)
            .map(|record| Known {
                status: record.status(system_clock()),
                address: record.address,
            });
    }
}

fn crl(der: &[u8]) -> Result<Says, String> {
    let why = |why: X509Error| why.to_string();
    let crl = Crl::parse(der).map_err(why)?;
    let mut entries = Vec::new();
    for entry in crl.entries() {
        let entry = entry.map_err(why)?;
        let reason = entry
            .reason
            .crl_reason()
            .map_or("unspecified", |_| entry.reason.word());
        entries.push(CrlEntry {
            serial: entry.serial,
            revoked_at: entry.at,
            reason: reason.to_owned(),
        });
    }
    let terms = crl.terms();
    Ok(Says::Crl {
        number: terms.number,
        this_update: terms.this_update,
        next_update: terms.next_update,
        entries,
    })
}

fn request(der: &[u8]) -> Result<Says, String> {
    let request = Request::parse(der).map_err(|why| format!("it {why}"))?;
    Ok(Says::Request {
        spki_sha256: BASE64.encode(&request.public_key().spki_sha256()),
    })
}

/// What a file holds: one thing, or several.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Report {
    One(Says),
    Several { items: Vec<Says> },
}

impl Report {
    fn new(items: Vec<Item>) -> Self {
        let mut says: Vec<Says> = items.into_iter().map(|item| item.says).collect();
        match (says.pop(), says.is_empty()) {
            (Some(one), true) => Self::One(one),
            (last, _) => {
                says.extend(last);
                Self::Several { items: says }
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(one) => one.fmt(f),
            Self::Several { items } => items.iter().enumerate().try_for_each(|(i, item)| {
                if i > 0 {
                    writeln!(f)?;
                }
                item.fmt(f)
            }),
        }
    }
}

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate {
                subject,
                issuer,
                serial,
                not_before,
                not_after,
                ca,
                spki_sha256,
                sha256,
                known,
            } => {
                writeln!(f, "certificate{}", if *ca { " of a CA" } else { "" })?;
                if let Some(known) = known {
                    writeln!(f, "status       {}, of {}", known.status, known.address)?;
                }
                writeln!(
                    f,
                    "subject      {subject}\nissuer       {issuer}\nserial       {serial}"
                )?;
                writeln!(f, "good         {not_before} to {not_after}")?;
                writeln!(f, "SPKI pin     {spki_sha256}\nSHA-256      {sha256}")
            }
            Self::Crl {
                number,
                this_update,
                next_update,
                entries,
            } => {
                writeln!(f, "CRL          number {number}, {} revoked", entries.len())?;
                writeln!(f, "good         {this_update} to {next_update}")?;
                entries
                    .iter()
                    .try_for_each(|e| writeln!(f, "  {} {} {}", e.serial, e.revoked_at, e.reason))
            }
            Self::Request { spki_sha256 } => {
                writeln!(f, "certificate signing request, signed by its own key")?;
                writeln!(f, "SPKI pin     {spki_sha256}")
            }
            Self::Other { label, why } => writeln!(f, "{label}\nnot shown    {why}"),
        }
    }
}
