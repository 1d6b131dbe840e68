//! The way back for Apple's devices. Safari installs a profile from an address and not out of a page: the
//! page sends the encrypted file that it made, and gets an address for it, for ten minutes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use rand_core::Rng;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::answer::Told;
use super::body;
use super::page::Shared;
use super::proxy::Client;
use crate::bundle;
use crate::ca::{self, Attempt, RootInProfile, Showing};
use crate::key::os_rng;
use crate::model::InviteId;
use crate::x509::Certificate;

/// How long a file is kept.
const KEPT: Duration = Duration::from_secs(600);
/// How many files are kept at once.
const MOST: usize = 256;
/// How many of them one invite has: whoever hands in more replaces his own.
const SHARE: usize = 3;
/// The longest PKCS#12 file that is taken, in octets.
const LONGEST: usize = 8 << 10;
pub const MEDIA_TYPE: &str = "application/x-apple-aspen-config";

/// The files that wait for their devices, in memory alone.
#[derive(Default)]
pub struct Slots(Mutex<HashMap<String, Slot>>);

struct Slot {
    invite: InviteId,
    since: Instant,
    file: Bytes,
}

impl Slots {
    /// Keeps a file of this invite, and says under which name: 128 random bits.
    fn keep(&self, invite: InviteId, file: Bytes) -> Option<String> {
        let mut random = [0; 16];
        os_rng().fill_bytes(&mut random);
        let name = BASE64URL_NOPAD.encode(&random);
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| slot.since.elapsed() < KEPT);
        let of_invite = || slots.iter().filter(|(_, slot)| slot.invite == invite);
        if of_invite().count() >= SHARE
            && let Some(oldest) = of_invite().min_by_key(|(_, slot)| slot.since)
        {
            let oldest = oldest.0.clone();
            slots.remove(&oldest);
        }
        (slots.len() < MOST).then(|| {
            let since = Instant::now();
            slots.insert(name.clone(), Slot { invite, since, file });
            name
        })
    }

    /// The file of this name. It stays: a browser may ask twice.
    fn file(&self, name: &str) -> Option<Bytes> {
        let slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.get(name)?;
        (slot.since.elapsed() < KEPT).then(|| slot.file.clone())
    }
}

/// A file that is to come back as a profile.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    secret: Zeroizing<String>,
    /// The PKCS#12 file, DER in base64.
    p12: String,
    /// A signature over it by the key that redeemed the invite: r and s, 32 octets each, in base64.
    signature: String,
}

/// Takes a file of whoever has the secret and the redeemed key, and says where its profile is.
pub async fn hand_in(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Told> {
    let Path(id) = path?;
    let address = client.address.ip();
    shared.door.demand_few(address)?;
    let octets = Zeroizing::new(body::read(&headers, body, "application/json").await?);
    let refused = |why: &str| Told::new(StatusCode::BAD_REQUEST, "request", why);
    let asked: Asked = serde_json::from_slice(&octets)
        .map_err(|_| refused("no JSON with `secret`, `p12` and `signature`"))?;
    let [p12, signature] = [&asked.p12, &asked.signature].map(|text| BASE64.decode(text.as_bytes()));
    let (Ok(p12), Ok(signature)) = (p12, signature) else {
        return Err(refused("`p12` and `signature` are base64"));
    };
    if p12.len() > LONGEST {
        return Err(StatusCode::PAYLOAD_TOO_LARGE.into());
    }
    let showing = Showing {
        id: id.clone(),
        secret: asked.secret,
    };
    let issued = &shared.door.ask(address, Attempt::Show(showing)).await?;
    let certificate = Certificate::from_der(&issued.certificate).map_err(|_| Told::unavailable())?;
    if !certificate.public_key().verifies_es256(&p12, &signature) {
        return Err(Told::new(
            StatusCode::FORBIDDEN,
            "signature",
            "the file is not signed by the key that used this invite",
        ));
    }
    if !bundle::is_of(&p12, &issued.certificate) {
        return Err(refused("the file is no PKCS#12 of this certificate"));
    }
    let profile = ca::apple_profile(
        &shared.chain,
        &shared.profile,
        issued,
        RootInProfile::Omitted,
        &p12,
    )
    .map_err(|_| Told::unavailable())?;
    let invite = id.parse().map_err(|_| Told::unavailable())?;
    let slot = shared.slots.keep(invite, profile.into());
    let slot = slot.ok_or_else(Told::unavailable)?;
    let address = serde_json::json!({ "address": format!("/i/{id}/profile/{slot}") });
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, address.to_string()).into_response())
}

/// Gives a profile to whoever knows its address.
pub async fn fetch(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Told> {
    let Path((_, slot)) = path?;
    let Some(file) = shared.slots.file(&slot) else {
        return Err(Told::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "there is nothing here, or not any more: go back to the page",
        ));
    };
    let headers = [
        (header::CONTENT_TYPE, MEDIA_TYPE),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"device.mobileconfig\"",
        ),
    ];
    Ok((headers, file).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_under_a_name_that_nobody_guesses_and_no_more_than_so_many() {
        let slots = Slots::default();
        let invite = |n: usize| InviteId::from_random([0, 0, 0, (n >> 8) as u8, n as u8]);
        let names: Vec<String> = (0..MOST)
            .map(|n| slots.keep(invite(n), Bytes::from(n.to_string())).unwrap())
            .collect();
        assert_eq!(slots.file(&names[7]).unwrap(), "7");
        assert_eq!(slots.file(&names[7]).unwrap(), "7");
        assert!(slots.file("").is_none() && slots.keep(invite(MOST), Bytes::new()).is_none());
        assert!(names.iter().all(|name| name.len() == 22));
    }

    #[test]
    fn an_invite_that_hands_in_one_file_after_the_other_takes_no_place_of_others() {
        let slots = Slots::default();
        let [one, other] = [1, 2].map(|octet| InviteId::from_random([octet; 5]));
        let first = slots.keep(other, Bytes::new()).unwrap();
        let names: Vec<String> = (0..2 * MOST)
            .map(|_| slots.keep(one, Bytes::new()).unwrap())
            .collect();
        let kept: Vec<bool> = names.iter().map(|name| slots.file(name).is_some()).collect();
        assert!(kept[kept.len() - SHARE..].iter().all(|is_kept| *is_kept));
        assert_eq!(kept.iter().filter(|is_kept| **is_kept).count(), SHARE);
        assert!(slots.file(&first).is_some());
    }
}
