//! Shared keys for devices that cannot sign: a secret for each API host and epoch lies in the home, and the
//! key of each device follows from it.

pub(in crate::ca) mod error;
mod hand_out;

use std::path::PathBuf;

use data_encoding::BASE64;
use serde::Serialize;
use zeroize::Zeroizing;

use super::secret_file;
use super::session::Session;
use super::{CaError, NotFound};
use crate::disk::Shown;
use crate::home::Home;
use crate::key::{HmacSecret, Passphrase, os_rng};
use crate::model::{Address, Fact, HmacEpoch, HmacHost, Host, Record, Span, Status, Time};
use crate::store::Store;
use error::HmacError;

pub use hand_out::{KeyName, KeysToHandOut, Shown as ShownKey, device_file};

/// A new secret, and its encrypted form, before it is known which epoch's it will be.
#[derive(Debug)]
pub struct NewSecret {
    secret: HmacSecret,
    sealed: String,
}

impl NewSecret {
    /// Makes a new secret, and opens it once more: one that does not open is none. Takes as long as that
    /// does: not to be done under the lock.
    ///
    /// # Errors
    /// Where the library refuses to encrypt it.
    pub fn make(passphrase: &Passphrase) -> Result<Self, CaError> {
        let failed = |why| CaError::Key {
            path: Shown("the new secret".into()),
            why,
        };
        let secret = HmacSecret::generate(&mut os_rng());
        let sealed = secret.encrypt(passphrase, &mut os_rng()).map_err(failed)?;
        let opened = HmacSecret::decrypt(&sealed, passphrase).map_err(failed)?;
        match opened.expose() == secret.expose() {
            true => Ok(Self { secret, sealed }),
            false => Err(CaError::ReadBack(Shown("the new secret".into()))),
        }
    }
}

/// The path of an epoch's secret in the home. The file is named by the check value as well: one that a run
/// left which was cut off is in nobody's way.
pub fn secret_path(home: &Home, host: &Host, epoch: &HmacEpoch) -> PathBuf {
    let check = String::from(epoch.check);
    let directory = home.path().join("hmac").join(host.file_stem());
    directory.join(format!("{}-{}.key", epoch.number, &check[..8]))
}

/// Begins the next epoch of a host, or its first one. The keys of the one before are good for `overlap`
/// longer.
///
/// # Errors
/// Where the secret cannot be kept, or nothing can be recorded.
pub fn rotate(
    session: &mut Session<'_>,
    host: &Host,
    new: &NewSecret,
    overlap: Span,
) -> Result<HmacHost, CaError> {
    let last = session.store.hmac_host(host)?;
    let number = last
        .as_ref()
        .and_then(HmacHost::current)
        .map_or(0, |epoch| epoch.number)
        + 1;
    let epoch = HmacEpoch {
        number,
        from: session.now,
        until: None,
        check: new.secret.check(host, number),
    };
    let place = secret_path(&session.desk.home, host, &epoch);
    secret_file::keep(&session.desk.home, &place, &new.sealed)?;
    session.commit(vec![Fact::HmacRotated {
        host: host.clone(),
        epoch: number,
        check: epoch.check,
        previous_until: session.now + overlap,
    }])?;
    let rotated = session.store.hmac_host(host)?;
    rotated.ok_or_else(|| NotFound::HmacHost(host.clone()).into())
}

/// The host's epochs, where it has shared keys.
///
/// # Errors
/// Where it has none.
pub fn hmac_host(store: &Store, host: &Host) -> Result<HmacHost, CaError> {
    let known = store.hmac_host(host)?;
    known.ok_or_else(|| NotFound::HmacHost(host.clone()).into())
}

/// Opens the secret of an epoch. Takes as long as a key does.
///
/// # Errors
/// Where it is not there, does not open, or is another.
pub fn open_secret(
    home: &Home,
    host: &Host,
    epoch: &HmacEpoch,
    passphrase: &Passphrase,
) -> Result<HmacSecret, CaError> {
    let path = secret_path(home, host, epoch);
    let secret = secret_file::open(&path, |pem| HmacSecret::decrypt(pem, passphrase))?;
    match secret.check(host, epoch.number) == epoch.check {
        true => Ok(secret),
        false => Err(HmacError::OtherSecret(Shown(path)).into()),
    }
}

/// The key of a device in an epoch.
///
/// # Errors
/// Where the device has no certificate that servers accept, issued after its last revocation.
pub fn device_key(
    store: &Store,
    secret: &HmacSecret,
    epoch: &HmacEpoch,
    address: &Address,
    now: Time,
) -> Result<Zeroizing<[u8; 32]>, CaError> {
    let records = store.device(address)?;
    if records.is_empty() {
        return Err(NotFound::Device(address.clone()).into());
    }
    let is_let_in = |record: &Record| matches!(record.status(now), Status::Valid | Status::Superseded);
    if !records.iter().any(is_let_in) {
        return Err(HmacError::Revoked(address.clone()).into());
    }
    let first = store.first_since_revocation(address)?;
    let first = first.ok_or_else(|| HmacError::Revoked(address.clone()))?;
    Ok(secret.device_key(epoch.number, address, &first))
}

/// Records that secrets of a host are handed out: all of them to the server, or the key of one device. To be
/// called before anybody gets them.
///
/// # Errors
/// Where it cannot be recorded.
pub fn record_hand_out(
    session: &mut Session<'_>,
    host: &Host,
    address: Option<&Address>,
) -> Result<(), CaError> {
    session.commit(vec![Fact::HmacHandedOut {
        host: host.clone(),
        address: address.cloned(),
    }])
}

/// What a server verifies by, in JSON: the secrets of these epochs.
pub fn server_file(host: &Host, epochs: &[(&HmacEpoch, HmacSecret)]) -> Zeroizing<String> {
    #[derive(Serialize)]
    struct Epoch {
        number: u32,
        until: Option<Time>,
        secret: Zeroizing<String>,
    }
    #[derive(Serialize)]
    struct File<'a> {
        version: u32,
        host: &'a Host,
        epochs: Vec<Epoch>,
    }
    let epochs = epochs.iter().map(|(epoch, secret)| Epoch {
        number: epoch.number,
        until: epoch.until,
        secret: Zeroizing::new(BASE64.encode(secret.expose())),
    });
    hand_out::json(&File {
        version: 1,
        host,
        epochs: epochs.collect(),
    })
}
