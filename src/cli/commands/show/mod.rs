//! `pki show`: shows a device, a certificate or a file.

pub mod file;
pub mod statement;
use std::fmt;
use std::path::Path;

use data_encoding::{BASE64, HEXUPPER};
use serde::Serialize;

use crate::ca::{self, IssuanceError, NotFound, Whom};
use crate::home::Home;
use crate::issuer::Chain;
use crate::model::event::{Issued, KeySource};
use crate::model::{Record, Time};
use crate::store::Store;
use crate::x509::Certificate;

use crate::cli::context::{Context, Sought, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::named::{Addressee, InvalidNamed, Named};
use crate::cli::report::{Row, table};
use crate::cli::tips;
use file::show_file;

/// Show one certificate: its record, its chain, its device's history; or what a file says
///
/// A file may hold several certificates, CRLs and requests: each is shown, in their order. It is read, and
/// not verified, but for the statements of a publication (pins.jws, manifest.jws): where there is a home it
/// says whether the devices' CA has signed them. With --json, what a file holds is one object with `kind`;
/// where it holds several, they are in an array `items`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki show alice
  pki show alice/phone --pem > alice.crt
  pki show 0A1B2C3D4E5F60718293A4B5C6D7E8F9
  pki show issuing.crl                    a certificate, CRL or request, PEM or DER
  pki show bundle.pem                     each that is in it
  pki show pins.jws                       what apps are told of servers' keys, and who signed it")]
pub struct Args {
    /// EMPLOYEE, EMPLOYEE/DEVICE, a serial number, or a file of certificates, CRLs, requests or a signed
    /// statement
    #[arg(value_name = "ADDRESS|SERIAL|FILE")]
    what: String,
    /// Print the certificate in PEM, followed by the issuing CA's; of a file, what it holds; with --json, as
    /// `pem`
    #[arg(long)]
    pem: bool,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let path = Path::new(&args.what);
    let named = args.what.parse::<Named>();
    // What is no name needs no home.
    let opened = named.as_ref().ok().map(|_| open(context));
    // A name that the home knows is meant, and not a file of that name.
    let known = match (&named, &opened) {
        (Ok(Named::Serial(_)), _) => true,
        (Ok(Named::Addressee(addressee)), Some(Ok((_, store)))) => known(addressee, store),
        (Ok(Named::Addressee(_)) | Err(_), _) => false,
    };
    if !known && (path.exists() || looks_like_a_file(&args.what, named.is_ok())) {
        drop(opened);
        return show_file(path, args.pem, context);
    }
    let named = named.map_err(|why| {
        let hint = match &why {
            InvalidNamed::Serial(serial) => serial.meant().map(|serial| format!("`pki show {serial}`")),
            InvalidNamed::Addressee(_) => None,
        };
        let hint = hint.unwrap_or_else(|| "there is no file of that name either".into());
        Failure::usage(why).hint(hint)
    })?;
    let (home, mut store) = opened.unwrap_or_else(|| open(context))?;
    let whom = match named {
        Named::Serial(serial) => Whom::Certificate(serial),
        Named::Addressee(addressee) => Whom::Device(match context.sought(&store, &addressee)? {
            Sought::One(address) => address,
            several @ Sought::Several(..) => {
                // Nobody waits for an open index while a person chooses.
                drop(store);
                let chosen = context.one_of(several)?;
                store = home.read()?;
                chosen
            }
        }),
    };
    context.tell_reader(&store)?;
    let record = match whom {
        Whom::Certificate(serial) => match (store.record(&serial)?, store.certified(&serial)?) {
            (Some(record), _) => record,
            (None, Some((host, _))) => {
                let message = format!("certificate {serial} is the server {host}'s, and no device's");
                return Err(Failure::refused(message)
                    .hint("`pki server list` shows the servers; `pki show FILE` what a certificate says"));
            }
            (None, None) => return Err(NotFound::Certificate(serial).into()),
        },
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
                .ok_or(NotFound::Device(address))?
        }
    };
    let issued = store.issued(&record)?;
    let details = details(&record, issued.as_ref(), &store, &home)?;
    // Whoever reads this may take her time, and an open index keeps others out.
    drop(store);
    if args.pem {
        let Some(issued) = issued else {
            return Err(IssuanceError::NotIssuedHere(record.address).into());
        };
        let text = home.chain().fullchain(&issued.certificate);
        context.ui.report(&Pem { pem: text })?;
        return Ok(Exit::Done);
    }
    context.ui.report(&details)?;
    Ok(Exit::Done)
}

/// The output of `--pem`: objects in PEM.
#[derive(Debug, Serialize)]
pub struct Pem {
    /// The text, of one PEM block or several.
    pub pem: String,
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pem)
    }
}

/// Whether this can only mean a file, even where there is none.
fn looks_like_a_file(text: &str, is_address: bool) -> bool {
    tips::has_typical_ending(text)
        || (!is_address && text.contains('/') && Path::new(text).file_name().is_some())
}

fn open(context: &Context) -> Result<(Home, Store), Failure> {
    let home = context.open_despite_config()?;
    let store = home.read()?;
    Ok((home, store))
}

/// Whether the home knows this name.
fn known(addressee: &Addressee, store: &Store) -> bool {
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
    #[serde(flatten)]
    making: Making,
    spki_sha256: String,
    certificate_sha256: String,
    chain: Vec<Link>,
    history: Vec<Row>,
}

/// How a certificate came to be.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Making {
    /// It was issued here.
    Issued {
        #[serde(rename = "for")]
        platform: String,
        profile: String,
        key: String,
        issued_at: Time,
        issued_by: String,
    },
    /// A published list named it.
    Recovered { recovered_at: Time, kept: bool },
}

#[derive(Debug, Serialize)]
struct Link {
    subject: String,
    not_after: Time,
    sha256: String,
}

fn details(record: &Record, issued: Option<&Issued>, store: &Store, home: &Home) -> Result<Details, Failure> {
    let now = system_clock();
    let event = store.issuing_event(record)?;
    let leaf = issued.map(|issued| Certificate::from_der(&issued.certificate));
    let leaf = leaf.transpose().map_err(crate::issuer::IssuerError::X509)?;
    let chain: &Chain = home.chain();
    let link = |certificate: &Certificate| Link {
        subject: certificate.subject_text().to_owned(),
        not_after: certificate.validity().not_after,
        sha256: HEXUPPER.encode(&certificate.sha256()),
    };
    Ok(Details {
        row: Row::new(record, now),
        name: issued.and_then(|issued| issued.name.as_ref().map(ToString::to_string)),
        email: issued.and_then(|issued| issued.email.as_ref().map(ToString::to_string)),
        making: match issued {
            Some(issued) => Making::Issued {
                platform: issued.platform.to_string(),
                profile: issued.profile.clone(),
                key: match issued.key {
                    KeySource::Bundle { p12 } => format!("bundle ({p12})"),
                    KeySource::Request => "request".into(),
                },
                issued_at: event.time,
                issued_by: event.by,
            },
            None => Making::Recovered {
                recovered_at: event.time,
                kept: !ca::is_undecided(record),
            },
        },
        spki_sha256: BASE64.encode(&record.spki_sha256),
        certificate_sha256: HEXUPPER.encode(&record.certificate_sha256),
        chain: leaf.iter().chain([chain.ca(), chain.root()]).map(link).collect(),
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
        match &self.making {
            Making::Issued {
                platform,
                profile,
                key,
                issued_at,
                issued_by,
            } => {
                line("good", &format!("{} to {}", row.not_before, row.not_after))?;
                line("issued", &format!("{issued_at} by {issued_by}"))?;
                line("for", &format!("{platform}, profile {profile}, key from {key}"))?;
            }
            Making::Recovered { recovered_at, kept } => {
                line("good", &format!("to {}", row.not_after))?;
                line("recovered", &format!("{recovered_at}, from a published list"))?;
                line("decided", if *kept { "it is kept" } else { "not yet" })?;
            }
        }
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
        f.write_str(&crate::cli::report::lines(&lines))
    }
}
