//! `pki show` of a manifest or of pin sets: what they say, and whether the devices' CA signed them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::cli::context::{Context, system_clock};
use crate::cli::error::Failure;
use crate::cli::usage::escaped;
use crate::disk;
use crate::home::Home;
use crate::model::text::quoted;
use crate::model::{PinSet, Time};
use crate::publish::{Area, Ended, LONGEST_CRL, Listed, Manifest, Pins, Statement, Unproven};
use crate::x509::crl::Crl;

/// Reads a statement of the devices' CA, `pins.jws` or `manifest.jws`; none where the file is neither.
///
/// # Errors
/// Where it is one of them, and does not say what it must.
pub fn read(octets: &[u8], shown: &dyn fmt::Display, context: &Context) -> Option<Result<Signed, Failure>> {
    let jws = octets.trim_ascii();
    let unproven = Unproven::read(jws)?;
    let unfit = |why: serde_json::Error| {
        Failure::refused(format!(
            "{shown} is a statement of the type {}, and not of its form: {why}",
            quoted(&unproven.typ)
        ))
        .hint("`pki publish` writes it anew; find out who has written this one")
    };
    let says = match unproven.typ.as_str() {
        Pins::TYPE => serde_json::from_slice(&unproven.payload)
            .map(Says::of_pins)
            .map_err(unfit),
        Manifest::TYPE => serde_json::from_slice(&unproven.payload)
            .map(Says::of_manifest)
            .map_err(unfit),
        other => Err(
            Failure::refused(format!("{shown} is a statement of the type {}", quoted(other)))
                .hint("only pins.jws and manifest.jws are known"),
        ),
    };
    Some(says.map(|says| {
        Signed {
            signer: unproven
                .signer
                .as_ref()
                .map(|signer| on_one_line(signer.subject_text())),
            signature: Signature::of(&unproven.typ, jws, context),
            says,
        }
    }))
}

/// A statement, its signer, and whether it can be trusted.
#[derive(Debug, Serialize)]
pub struct Signed {
    #[serde(flatten)]
    says: Says,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
    #[serde(flatten)]
    signature: Signature,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Says {
    Pins {
        version: u32,
        number: u64,
        iat: Time,
        exp: Time,
        sets: Vec<PinSet>,
    },
    Manifest {
        version: u32,
        area: Area,
        number: u64,
        made: Time,
        valid_until: Time,
        #[serde(skip_serializing_if = "Option::is_none")]
        ended: Option<Vec<Ended>>,
        files: BTreeMap<String, Listed>,
    },
}

/// Whether the signature is that of this PKI's CA for devices.
#[derive(Debug, Serialize)]
#[serde(tag = "signature", rename_all = "lowercase")]
enum Signature {
    Good,
    Bad {
        why: String,
    },
    /// There is no home with a root to hold it against.
    Unknown {
        why: String,
    },
}

impl Signature {
    fn of(typ: &str, jws: &[u8], context: &Context) -> Self {
        let home = match context.open() {
            Ok(home) => home,
            Err(failure) => return Self::Unknown { why: failure.message },
        };
        let root = home.chain().root();
        let verified = Statement::verify(typ, jws, root, system_clock()).and_then(|statement| {
            let crl = root_crl(&home);
            // Without it nobody is known to be revoked; what is wrong with it is for `pki doctor`.
            let crl = crl.as_deref().and_then(|der| Crl::parse(der).ok());
            match crl.filter(|crl| crl.is_issued_by(root)) {
                Some(crl) => statement.demand_unrevoked(&crl),
                None => Ok(()),
            }
        });
        match verified {
            Ok(()) => Self::Good,
            Err(why) => Self::Bad { why: why.to_string() },
        }
    }
}

/// Whoever has signed it may have written anything: no line of it is one of ours.
fn on_one_line(text: &str) -> String {
    escaped(text).replace('\n', "\\n")
}

fn root_crl(home: &Home) -> Option<Vec<u8>> {
    disk::read(&home.root_crl_path(), LONGEST_CRL).ok()
}

impl Says {
    fn of_pins(pins: Pins) -> Self {
        Self::Pins {
            version: pins.version,
            number: pins.number,
            iat: Time::from_unix(pins.iat),
            exp: Time::from_unix(pins.exp),
            sets: pins.sets,
        }
    }

    fn of_manifest(manifest: Manifest) -> Self {
        Self::Manifest {
            version: manifest.version,
            area: manifest.area,
            number: manifest.number,
            made: manifest.made,
            valid_until: manifest.valid_until,
            ended: manifest.ended,
            files: manifest.files,
        }
    }
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signer = self.signer.as_deref().unwrap_or("nobody who is named");
        match &self.says {
            Says::Pins {
                version,
                number,
                iat,
                exp,
                ..
            } => {
                writeln!(f, "pin sets     number {number}, version {version}, signed")?;
                writeln!(f, "good         {iat} to {exp}")?;
            }
            Says::Manifest {
                version,
                area,
                number,
                made,
                valid_until,
                ..
            } => {
                writeln!(f, "manifest     {area} {number}, version {version}, signed")?;
                writeln!(f, "good         {made} to {valid_until}")?;
            }
        }
        writeln!(f, "signer       {signer}")?;
        match &self.signature {
            Signature::Good => writeln!(f, "signature    good: this PKI's CA for devices has made it")?,
            Signature::Bad { why } => writeln!(f, "signature    not good: {why}")?,
            Signature::Unknown { why } => writeln!(f, "signature    not verified: {why}")?,
        }
        match &self.says {
            Says::Pins { sets, .. } => sets.iter().try_for_each(|set| {
                let below = if set.include_subdomains {
                    " and what is below it"
                } else {
                    ""
                };
                writeln!(f, "{}{below}, until {}", set.host, set.expires)?;
                set.pins.iter().try_for_each(|pinned| {
                    writeln!(f, "  {} {} since {}", pinned.pin, pinned.role, pinned.since)
                })
            }),
            Says::Manifest { files, .. } => files.iter().try_for_each(|(path, listed)| {
                writeln!(f, "  {} ({} octets)", on_one_line(path), listed.size)
            }),
        }
    }
}
