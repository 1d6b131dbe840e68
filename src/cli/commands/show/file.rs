//! `pki show FILE`: shows what is in a file, whoever made it.

use std::fmt;
use std::path::Path;

use data_encoding::{BASE64, HEXUPPER};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::disk;
use crate::model::contents::Item as Contained;
use crate::model::{Address, Contents, Kind, Serial, Status, Time};
use crate::x509::any::AnyCertificate;
use crate::x509::crl::Crl;
use crate::x509::key_kind::KeyKind;
use crate::x509::request::{self, Request, RequestError};
use crate::x509::{X509Error, pem};

use super::Pem;
use super::statement;
use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::handed_in;
use crate::cli::in_shell;
use crate::cli::usage::escaped;

/// The largest file that is read.
const FILE: u64 = 256 << 20;

/// Shows the contents of a file, item by item.
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
    if let Some(statement) = statement::read(&octets, &shown, context) {
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
    let contents = Contents::of(&octets);
    let mut items = items(&contents);
    recognize(&mut items, context);
    let readable = |item: &&Item| !matches!(item.says, Says::Other { .. });
    if items.iter().filter(readable).count() == 0 {
        return Err(nothing_to_show(path, &contents, &items));
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
    kind: Kind,
    label: &'static str,
    der: Vec<u8>,
    says: Says,
}

impl Item {
    fn pem(&self) -> String {
        pem::encode(self.label, &self.der)
    }
}

/// The failure where nothing of a file is shown, with the command that shows it.
fn nothing_to_show(path: &Path, contents: &Contents, items: &[Item]) -> Failure {
    let (shown, file) = (path.display(), in_shell(&path.display().to_string()));
    let form = if contents.is_binary { " -inform der" } else { "" };
    let instead = contents.instead();
    let known = items.iter().filter(|item| item.kind != Kind::Other);
    let why = known.map(|item| &item.says).find_map(|says| {
        if let Says::Other { why, .. } = says {
            return Some(why.clone());
        }
        None
    });
    let message = match (instead, why) {
        (Some(Kind::Pkcs12), _) => format!("{shown} is a PKCS#12 bundle: what is in it is encrypted"),
        (Some(Kind::PrivateKey), _) => format!("{shown} is a private key, and those are not shown"),
        (Some(Kind::Other) | None, _) if contents.is_empty => format!("{shown} is empty"),
        (Some(Kind::Other) | None, _) => {
            format!("{shown} has no certificate in it, no CRL and no certificate signing request")
        }
        (Some(kind), Some(why)) => format!("{shown} is {}: {why}", kind.one()),
        (Some(kind), None) => format!("{shown} is {}, which is not shown", kind.one()),
    };
    let failure = Failure::refused(message);
    match instead {
        Some(Kind::Pkcs12) => failure.hint(format!(
            "`pki show EMPLOYEE/DEVICE` shows what was issued; \
             `openssl pkcs12 -nokeys -info -in {file}` asks for its passphrase and opens it"
        )),
        Some(Kind::PrivateKey) => failure.hint(format!(
            "`openssl pkey{form} -in {file} -noout -text_pub` tells of what kind it is, and shows its public half"
        )),
        Some(Kind::PublicKey) => failure.hint(format!("`openssl pkey -pubin{form} -in {file} -noout -text` shows it")),
        Some(Kind::Certificate) => failure.hint(format!("`openssl x509{form} -in {file} -noout -text` may tell more")),
        Some(Kind::Crl) => failure.hint(format!("`openssl crl{form} -in {file} -noout -text` shows it")),
        Some(Kind::Request) => failure.hint(format!("`openssl req{form} -in {file} -noout -text` may tell more")),
        Some(Kind::Pkcs7 | Kind::Keystore) => failure.hint(handed_in::to_certificate(path, contents)),
        Some(Kind::Parameters | Kind::WebPage | Kind::Other) | None => failure
            .hint("give the whole of it, from -----BEGIN … to -----END …, or what is in binary as it came"),
    }
}

/// Everything in a file, in its order.
fn items(contents: &Contents) -> Vec<Item> {
    contents
        .items
        .iter()
        .map(|Contained { kind, label, der }| {
            let (label_of_pem, says) = match (kind, der) {
                (Kind::Certificate, Some(der)) => (pem::CERTIFICATE, certificate(der)),
                (Kind::Crl, Some(der)) => (pem::CRL, crl(der)),
                (Kind::Request, Some(der)) => (pem::REQUEST, request(der)),
                (Kind::PrivateKey, _) => ("", Err("private keys are not shown".into())),
                (Kind::Certificate | Kind::Crl | Kind::Request, None) => ("", Err("it is not whole".into())),
                (_, _) => (
                    "",
                    Err("it is neither a certificate nor a CRL nor a request".into()),
                ),
            };
            let says = says.unwrap_or_else(|why| Says::Other {
                label: if label.is_empty() {
                    kind.name().to_owned()
                } else {
                    escaped(label)
                },
                why,
            });
            Item {
                kind: *kind,
                label: label_of_pem,
                der: der.clone().unwrap_or_default(),
                says,
            }
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
        key: String,
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
        key: String,
        spki_sha256: String,
        /// Why it cannot be certified here, if so.
        #[serde(skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// What is not shown.
    Other { label: String, why: String },
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
    let certificate = AnyCertificate::from_der(der).map_err(|why| why.to_string())?;
    Ok(Says::Certificate {
        subject: escaped(&certificate.subject),
        issuer: escaped(&certificate.issuer),
        serial: HEXUPPER.encode(&certificate.serial),
        not_before: certificate.validity.not_before,
        not_after: certificate.validity.not_after,
        ca: certificate.is_ca,
        key: certificate.key.to_string(),
        spki_sha256: certificate.pin.to_string(),
        sha256: HEXUPPER.encode(&certificate.sha256),
        known: None,
    })
}

/// Adds what the ledger says of the certificates that it knows. A file can be shown without a home as well.
fn recognize(items: &mut [Item], context: &Context) {
    let Some(store) = context
        .open_despite_config()
        .ok()
        .and_then(|home| home.read().ok())
    else {
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
    let spki = request::key(der).map_err(|why| {
        if let RequestError::Malformed(why) = why {
            return format!("it cannot be read: {why}");
        }
        format!("it {why}")
    })?;
    Ok(Says::Request {
        key: KeyKind::of(spki).to_string(),
        spki_sha256: BASE64.encode(&Sha256::digest(spki)),
        refused: Request::parse(der).err().map(|why| format!("it {why}")),
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
                key,
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
                writeln!(f, "key          {key}")?;
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
            Self::Request {
                key,
                spki_sha256,
                refused,
            } => {
                match refused {
                    None => writeln!(f, "certificate signing request, signed by its own key")?,
                    Some(why) => writeln!(f, "certificate signing request\nrefused      {why}")?,
                }
                writeln!(f, "key          {key}\nSPKI pin     {spki_sha256}")
            }
            Self::Other { label, why } => writeln!(f, "{label}\nnot shown    {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::{self, seeds};
    use crate::model::text::printable;

    /// What is shown comes from whoever made the file: it must not move the cursor, nor look like ours.
    #[test]
    fn what_is_shown_of_a_damaged_file_is_lines_of_text() {
        let mut company = seeds::Company::new();
        let mut all = company.certificates();
        all.push(seeds::foreign_certificate());
        all.extend(company.crls());
        let requests = seeds::files("csr");
        all.extend(
            requests
                .iter()
                .filter_map(|octets| pem::decode(pem::REQUEST, octets).ok()),
        );
        fuzz::damaged(&all, |der| {
            let read = [certificate(der), crl(der), request(der)];
            let says = read.map(|read| read.map_or_else(|why| why, |says| says.to_string()));
            for line in says.iter().flat_map(|says| says.lines()) {
                assert_eq!(printable(line), Ok(()), "{line:?}");
            }
            true
        });
    }
}
