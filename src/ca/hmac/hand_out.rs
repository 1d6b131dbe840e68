//! Hands out shared keys with certificates, where a profile says so: a file for each device and host, beside
//! the bundle.

use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{device_key, hmac_host, open_secret, record_hand_out};
use crate::ca::enrollment::renew::shown;
use crate::ca::session::Session;
use crate::ca::{CaError, Denial};
use crate::disk;
use crate::home::Home;
use crate::key::{HmacSecret, Passphrase};
use crate::model::{Address, HmacEpoch, HmacHost, Host};
use crate::store::Store;

/// The current secrets of the hosts that profiles name, opened before the lock is taken.
#[derive(Debug, Default)]
pub struct KeysToHandOut(Vec<(HmacHost, HmacEpoch, HmacSecret)>);

impl KeysToHandOut {
    /// Opens the secrets of these hosts. Takes as long as a key does, for each.
    ///
    /// # Errors
    /// Where a host has no shared keys, or its secret does not open.
    pub fn open(
        home: &Home,
        store: &Store,
        hosts: &[Host],
        passphrase: &Passphrase,
    ) -> Result<Self, CaError> {
        let opened = hosts.iter().map(|host| {
            let known = hmac_host(store, host)?;
            let epoch = known.current().cloned();
            let epoch = epoch.ok_or_else(|| crate::ca::NotFound::HmacHost(host.clone()))?;
            let secret = open_secret(home, host, &epoch, passphrase)?;
            Ok((known, epoch, secret))
        });
        opened.collect::<Result<_, CaError>>().map(Self)
    }

    /// Whether these are the secrets of the epochs that are current by now, of all these hosts.
    ///
    /// # Errors
    /// A damaged index.
    pub fn are_current(&self, store: &Store, hosts: &[Host]) -> Result<bool, CaError> {
        for host in hosts {
            let current = store.hmac_host(host)?;
            let current = current.as_ref().and_then(HmacHost::current);
            let opened = self.0.iter().find(|(known, ..)| known.host == *host);
            if opened.map(|(_, epoch, _)| epoch) != current {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The file with the key of the device that shows this certificate, where its profile gives it one for
    /// the host. `is_known` tells whether its hand-out is recorded already.
    ///
    /// # Errors
    /// Where that cannot be recorded or read.
    pub fn show(
        &self,
        session: &mut Session<'_>,
        certificate: &[u8],
        host: &Host,
        is_known: &dyn Fn(&Address, u32) -> bool,
    ) -> Result<Result<Shown, Denial>, CaError> {
        let Some((record, issued)) = shown(session, certificate)? else {
            return Ok(Err(Denial::Unknown));
        };
        let validity = record.validity;
        if record.revocation().is_some() {
            return Ok(Err(Denial::ShownRevoked));
        }
        if session.now < validity.not_before {
            return Ok(Err(Denial::NotYet(validity.not_before)));
        }
        if validity.ended(session.now) {
            return Ok(Err(Denial::Expired(validity.not_after)));
        }
        let profile = session.desk.home.profile(&issued.profile)?;
        let opened = self.0.iter().find(|(known, ..)| known.host == *host);
        let Some((_, epoch, secret)) = opened.filter(|_| profile.hmac().contains(host)) else {
            return Ok(Err(Denial::NoSharedKey));
        };
        let file = device_file(&session.store, host, epoch, secret, &record.address)?;
        if !is_known(&record.address, epoch.number) {
            record_hand_out(session, host, Some(&record.address))?;
        }
        Ok(Ok(Shown {
            address: record.address,
            epoch: epoch.number,
            file,
        }))
    }

    /// Writes the keys of a device to `directory`, in the place of those from before: the files.
    ///
    /// # Errors
    /// Where that cannot be recorded or written.
    pub fn hand_out(
        &self,
        session: &mut Session<'_>,
        address: &Address,
        hosts: &[Host],
        directory: &Path,
    ) -> Result<Vec<PathBuf>, CaError> {
        let mut files = Vec::new();
        for (known, epoch, secret) in self.0.iter().filter(|(known, ..)| hosts.contains(&known.host)) {
            let text = device_file(&session.store, &known.host, epoch, secret, address)?;
            record_hand_out(session, &known.host, Some(address))?;
            let name = format!("{}.{}.hmac.json", address.file_stem(), known.host.file_stem());
            let file = directory.join(name);
            disk::replace(&file, disk::PRIVATE_FILE, text.as_bytes())?;
            files.push(file);
        }
        Ok(files)
    }
}

/// The key of a device that has shown its certificate.
#[derive(Debug)]
pub struct Shown {
    /// The device.
    pub address: Address,
    /// The epoch of the key.
    pub epoch: u32,
    /// The file with the key.
    pub file: Zeroizing<String>,
}

/// What a device makes its signatures by, in JSON: its key of an epoch, and by what name the server knows it.
///
/// # Errors
/// Where the device has no certificate that servers accept, issued after its last revocation.
pub fn device_file(
    store: &Store,
    host: &Host,
    epoch: &HmacEpoch,
    secret: &HmacSecret,
    address: &Address,
) -> Result<Zeroizing<String>, CaError> {
    #[derive(Serialize)]
    struct File<'a> {
        version: u32,
        host: &'a Host,
        keyid: String,
        key: Zeroizing<String>,
    }
    let key = device_key(store, secret, epoch, address)?;
    Ok(json(&File {
        version: 1,
        host,
        keyid: format!("{address}/{}", epoch.number),
        key: Zeroizing::new(BASE64.encode(&*key)),
    }))
}

/// A document, with a line end.
pub(super) fn json(value: &impl Serialize) -> Zeroizing<String> {
    let mut text = serde_json::to_string_pretty(value).expect("strings have a JSON form");
    text.push('\n');
    Zeroizing::new(text)
}
