//! Hands out shared keys with certificates, where a profile says so: a file for each device and host, beside
//! the bundle.

use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{device_key, hmac_host, open_secret, record_hand_out};
use crate::ca::CaError;
use crate::ca::session::Session;
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
