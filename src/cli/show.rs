use std::fmt;
use std::path::Path;

use data_encoding::{BASE64, HEXUPPER};
use serde::Serialize;

use crate::authority::Chain;
use crate::disk;
use crate::home::Home;
use crate::model::event::KeySource;
use crate::model::{Record, Serial, Time};
use crate::operate::{OperateError, Whom};
use crate::store::Store;
use crate::x509::crl::Crl;
use crate::x509::{Certificate, pem};

use super::context::{Addressee, Context, system_clock};
use super::failure::{Exit, Failure};
use super::report::{Row, table};

/// Show one certificate: its record, its chain, its device's history; or what a file says
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki show alice
  pki show alice/phone --pem > alice.crt
  pki show 0A1B2C3D4E5F60718293A4B5C6D7E8F9
  pki show issuing.crl                    a certificate or CRL, PEM or DER")]
pub struct Args {
    /// EMPLOYEE, EMPLOYEE/DEVICE, a serial number, or the file of a certificate or CRL
    #[arg(value_name = "ADDRESS|SERIAL|FILE")]
    what: String,
    /// Print the certificate in PEM, followed by the issuing CA's
    #[arg(long)]
    pem: bool,
}

/// The largest file that is read.
const FILE: u64 = 256 << 20;

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let path = Path::new(&args.what);
    let serial = args.what.parse::<Serial>().ok();
    let addressee = args.what.parse::<Addressee>();
    if serial.is_none() && path.is_file() && addressee.as_ref().map_or(true, |a| !known(a, context)) {
        return show_file(path, args.pem, context);
    }
    let home = context.open()?;
    let whom = match (serial, addressee) {
        (Some(serial), _) => Whom::Certificate(serial),
        (None, Ok(addressee)) => Whom::Device(context.existing(&home, &addressee)?),
        (None, Err(why)) => {
            return Err(Failure::usage(why).hint("there is no file of that name either"));
        }
    };
    let store = context.read(&home)?;
    let record = match whom {
        Whom::Certificate(serial) => store
            .record(&serial)?
            .ok_or(OperateError::NoCertificate(serial))?,
        Whom::Device(address) => {
            let history = store.device(&address)?;
            // The one in use; else the last one.
            let current = history
                .iter()
                .rev()
                .find(|r| r.status(system_clock()) == crate::model::Status::Valid);
            current
                .or(history.last())
                .cloned()
                .ok_or(OperateError::NoDevice(address))?
        }
    };
    let issued = store.issued(&record)?;
    let details = details(&record, &issued, &store, &home)?;
    // Whoever reads this may take her time, and an open index keeps others out.
    drop(store);
    if args.pem {
        let text = pem::encode(pem::CERTIFICATE, &issued.certificate) + &home.chain().issuing().pem();
        context.ui.out(text)?;
        return Ok(Exit::Done);
    }
    context.ui.report(&details)?;
    Ok(Exit::Done)
}

/// Whether the home knows this name: then it is meant, and not a file of that name.
fn known(addressee: &Addressee, context: &Context) -> bool {
    let Ok(store) = context.open().and_then(|home| Ok(home.read()?)) else {
        return false;
    };
    let records = match addressee {
        Addressee::Employee(employee) => store.employee(employee),
        Addressee::Device(address) => store.device(address),
    };
    records.is_ok_and(|records| !records.is_empty())
}

#[derive(Debug, Serialize)]
struct Details {
    #[serde(flatten)]
    row: Row,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(rename = "for")]
    platform: String,
    profile: String,
    key: String,
    issued_at: Time,
    issued_by: String,
    spki_sha256: String,
    certificate_sha256: String,
    chain: Vec<Link>,
    history: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Link {
    subject: String,
    not_after: Time,
    sha256: String,
}

fn details(
    record: &Record,
    issued: &crate::model::event::Issued,
    store: &Store,
    home: &Home,
) -> Result<Details, Failure> {
    let now = system_clock();
    let event = store.issuing_event(record)?;
    let leaf = Certificate::from_der(&issued.certificate).map_err(crate::authority::AuthorityError::X509)?;
    let chain: &Chain = home.chain();
    let link = |certificate: &Certificate| Link {
        subject: certificate.subject_text().to_owned(),
        not_after: certificate.validity().not_after,
        sha256: HEXUPPER.encode(&certificate.sha256()),
    };
    Ok(Details {
        row: Row::new(record, now),
        name: issued.name.as_ref().map(ToString::to_string),
        email: issued.email.as_ref().map(ToString::to_string),
        platform: issued.platform.to_string(),
        profile: issued.profile.clone(),
        key: match issued.key {
            KeySource::Bundle { p12 } => format!("bundle ({p12})"),
            KeySource::Request => "request".into(),
        },
        issued_at: event.time,
        issued_by: event.by,
        spki_sha256: BASE64.encode(&record.spki_sha256),
        certificate_sha256: HEXUPPER.encode(&record.certificate_sha256),
        chain: [&leaf, chain.issuing(), chain.root()]
            .into_iter()
            .map(link)
            .collect(),
        history: store
            .device(&record.address)?
            .iter()
            .map(|r| Row::new(r, now))
            .collect(),
    })
}

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = &self.row;
        let mut line = |label: &str, value: &str| writeln!(f, "{label:<13}{value}");
        line("device", &row.address.to_string())?;
        if let Some(name) = &self.name {
            line("name", name)?;
        }
        if let Some(email) = &self.email {
            line("e-mail", email)?;
        }
        let status = match (row.reason, row.revoked_at) {
            (Some(reason), Some(at)) => format!("{} since {at} ({reason})", row.status),
            _ => row.status.to_string(),
        };
        line("status", &status)?;
        line("serial", &row.serial.to_string())?;
        line("good", &format!("{} to {}", row.not_before, row.not_after))?;
        line("issued", &format!("{} by {}", self.issued_at, self.issued_by))?;
        line(
            "for",
            &format!(
                "{}, profile {}, key from {}",
                self.platform, self.profile, self.key
            ),
        )?;
        line("SPKI pin", &self.spki_sha256)?;
        line("SHA-256", &self.certificate_sha256)?;
        writeln!(f, "chain")?;
        for link in &self.chain {
            writeln!(f, "  {} (until {})", link.subject, link.not_after.date())?;
        }
        writeln!(f, "certificates of the device, oldest first")?;
        let mut lines = table(&["SERIAL", "STATUS", "FROM", "UNTIL"]);
        for row in &self.history {
            lines.add_row([
                row.serial.to_string(),
                row.status.to_string(),
                row.not_before.date(),
                row.not_after.date(),
            ]);
        }
        f.write_str(&super::report::lines(&lines))
    }
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum FileReport {
    Certificate {
        subject: String,
        issuer: String,
        serial: String,
        not_before: Time,
        not_after: Time,
        ca: bool,
        spki_sha256: String,
        sha256: String,
    },
    Crl {
        number: u64,
        this_update: Time,
        next_update: Time,
        entries: Vec<CrlEntry>,
    },
}

#[derive(Debug, Serialize)]
struct CrlEntry {
    serial: Serial,
    revoked_at: Time,
    reason: String,
}

impl fmt::Display for FileReport {
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
            } => {
                writeln!(f, "certificate{}", if *ca { " of a CA" } else { "" })?;
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
        }
    }
}

/// What the file of a certificate or a CRL says. It is read, and not verified.
fn show_file(path: &Path, as_pem: bool, context: &Context) -> Result<Exit, Failure> {
    let octets = disk::read(path, FILE)?;
    let der = |label| {
        if octets.first() == Some(&0x30) {
            Ok(octets.clone())
        } else {
            first_block(label, &octets)
        }
    };
    if let Ok(certificate) = der(pem::CERTIFICATE).and_then(|der| Certificate::from_der(&der)) {
        if as_pem {
            context.ui.out(certificate.pem())?;
            return Ok(Exit::Done);
        }
        context.ui.report(&FileReport::Certificate {
            subject: certificate.subject_text().to_owned(),
            issuer: certificate.issuer_text().to_owned(),
            serial: HEXUPPER.encode(certificate.serial()),
            not_before: certificate.validity().not_before,
            not_after: certificate.validity().not_after,
            ca: certificate.is_ca(),
            spki_sha256: BASE64.encode(&certificate.public_key().spki_sha256()),
            sha256: HEXUPPER.encode(&certificate.sha256()),
        })?;
        return Ok(Exit::Done);
    }
    let unreadable = || {
        Failure::refused(format!(
            "{} is neither a certificate with a P-256 key nor a CRL that this program writes",
            path.display()
        ))
        .hint("`openssl x509 -text` or `openssl crl -text` may tell more")
    };
    let der = der(pem::CRL).map_err(|_| unreadable())?;
    let crl = Crl::parse(&der).map_err(|_| unreadable())?;
    if as_pem {
        context.ui.out(pem::encode(pem::CRL, &der))?;
        return Ok(Exit::Done);
    }
    let mut entries = Vec::new();
    for entry in crl.entries() {
        let entry = entry.map_err(|_| unreadable())?;
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
    context.ui.report(&FileReport::Crl {
        number: terms.number,
        this_update: terms.this_update,
        next_update: terms.next_update,
        entries,
    })?;
    Ok(Exit::Done)
}

/// The first block of this label: a file may hold a chain.
fn first_block(label: &'static str, text: &[u8]) -> Result<Vec<u8>, crate::x509::X509Error> {
    x509_parser::pem::Pem::iter_from_buffer(text)
        .filter_map(Result::ok)
        .find(|block| block.label == label)
        .map(|block| block.contents)
        .ok_or(crate::x509::X509Error::NoPem(label))
}
