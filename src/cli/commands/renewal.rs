//! The request by which a certificate is renewed: as the last one, but for what is to change.

use crate::ca::{self, Asked, Difference, IssuanceError, KeyRequest, Request};
use crate::home::Home;
use crate::model::draft::Holder;
use crate::model::event::{Issued, KeySource};
use crate::model::{Email, Form, PersonName, Platform, Profile, Record};
use crate::store::Store;

use crate::cli::error::Failure;

/// The changes of a renewal to the certificate that it renews.
#[derive(Debug, Default)]
pub struct Changes {
    /// The holder's name.
    pub name: Option<PersonName>,
    /// Her e-mail address.
    pub email: Option<Email>,
    /// The platform of the device.
    pub platform: Option<Platform>,
    /// The validity in days.
    pub days: Option<i64>,
    /// The bundle's encryption.
    pub p12: Option<Form>,
}

/// A request like the one that a certificate came from.
pub struct Renewed {
    /// The request.
    pub request: Request,
    /// Where it is good for less time.
    pub shorter: Option<Shorter>,
    /// What it has otherwise.
    pub changed: Vec<Difference>,
}

/// A request like the one that a certificate came from, with changes.
pub fn like(changes: &Changes, store: &Store, home: &Home, record: &Record) -> Result<Renewed, Failure> {
    let Some(issued) = store.issued(record)? else {
        return Err(IssuanceError::NotIssuedHere(record.address.clone()).into());
    };
    let platform = changes.platform.unwrap_or(issued.platform);
    let key = match issued.key {
        // What another kind of device opens.
        KeySource::Bundle { .. } if platform != issued.platform => {
            KeyRequest::Bundle(changes.p12.unwrap_or(platform.form()))
        }
        KeySource::Bundle { p12 } => KeyRequest::Bundle(changes.p12.unwrap_or(p12)),
        KeySource::Request => {
            let certificate = crate::x509::Certificate::from_der(&issued.certificate)
                .map_err(crate::issuer::IssuerError::X509)?;
            KeyRequest::Own(certificate.public_key().clone())
        }
    };
    let profile = home.profile(&issued.profile)?;
    let (days, shorter) = match changes.days {
        Some(asked) => (Some(asked), None),
        None => life(&issued, &profile),
    };
    let asked = Asked {
        address: issued.address.clone(),
        name: changes.name.clone(),
        email: changes.email.clone(),
        platform: changes.platform,
    };
    let changed = ca::differences(&issued, &asked);
    let request = Request {
        holder: Holder {
            address: issued.address,
            name: asked.name.or(issued.name),
            email: asked.email.or(issued.email),
            platform,
        },
        days,
        profile,
        key,
    };
    Ok(Renewed {
        request,
        shorter,
        changed,
    })
}

/// A renewal that is good for less time than what it renews, in days.
pub struct Shorter {
    pub had: i64,
    pub gets: i64,
}

/// The life of a renewal: what was asked for when the last certificate was issued, as far as its profile
/// still allows that. Where nothing was asked for, or the ledger is of a version that did not note it, the
/// profile's.
fn life(issued: &Issued, profile: &Profile) -> (Option<i64>, Option<Shorter>) {
    let (days, had) = match issued.days {
        Some(asked) => (Some(asked.min(profile.max_days())), asked),
        None => (None, issued.validity.days()),
    };
    let gets = days.unwrap_or(profile.days());
    (days, (gets < had).then_some(Shorter { had, gets }))
}
