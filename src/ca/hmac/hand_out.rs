//! Hands out shared keys with certificates, where a profile says so: a file for each device and host, beside
//! the bundle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde::Serialize;
use zeroize::Zeroizing;

use super::error::HmacError;
use super::{device_key, hmac_host, open_secret, record_hand_out};
use crate::ca::enrollment::renew::shown;
use crate::ca::session::Session;
use crate::ca::{CaError, Denial, NotFound};
use crate::disk;
use crate::home::Home;
use crate::key::{HmacSecret, Passphrase};
use crate::model::{Address, HmacEpoch, HmacHost, Host, Serial, Time};
use crate::store::Store;

/// The current secrets of hosts, opened before the lock is taken; or why they do not open, which concerns
/// those alone who are to have a key of that host.
#[derive(Debug, Default)]
pub struct KeysToHandOut(BTreeMap<Host, Result<Opened, CaError>>);

#[derive(Debug)]
struct Opened {
    epoch: HmacEpoch,
    secret: HmacSecret,
}

impl KeysToHandOut {
    /// Opens the secrets of these hosts anew. Takes as long as a key does, for each.
    pub fn open(&mut self, home: &Home, store: &Store, hosts: &[Host], passphrase: &Passphrase) {
        for host in hosts {
            let opened = hmac_host(store, host).and_then(|known| {
                let epoch = known.current().cloned();
                let epoch = epoch.ok_or_else(|| NotFound::HmacHost(host.clone()))?;
                let secret = open_secret(home, host, &epoch, passphrase)?;
                Ok(Opened { epoch, secret })
            });
            self.0.insert(host.clone(), opened);
        }
    }

    /// Whether this is the secret of the epoch that is current by now.
    ///
    /// # Errors
    /// A damaged index.
    pub fn is_current(&self, store: &Store, host: &Host) -> Result<bool, CaError> {
        let known = store.hmac_host(host)?;
        let current = known.as_ref().and_then(HmacHost::current);
        Ok(self
            .opened(host)
            .is_some_and(|opened| Some(&opened.epoch) == current))
    }

    /// Demands that these hosts' secrets are there, and those of the epochs that are current by now. To be
    /// called before what is issued cannot be taken back.
    ///
    /// # Errors
    /// Where they are not, the reason for the first of them.
    pub fn demand(&mut self, store: &Store, hosts: &[Host]) -> Result<(), CaError> {
        for host in hosts {
            if self.opened(host).is_none() {
                let why = self.0.remove(host).and_then(Result::err);
                return Err(why.unwrap_or_else(|| NotFound::HmacHost(host.clone()).into()));
            }
            if !self.is_current(store, host)? {
                return Err(HmacError::Rotated(host.clone()).into());
            }
        }
        Ok(())
    }

    fn opened(&self, host: &Host) -> Option<&Opened> {
        self.0.get(host)?.as_ref().ok()
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
        is_known: &dyn Fn(&KeyName) -> bool,
    ) -> Result<Result<Shown, Denial>, CaError> {
        let (record, issued) = match shown(session, certificate)? {
            Ok(known) => known,
            Err(denial) => return Ok(Err(denial)),
        };
        if record.validity.ended(session.now) {
            return Ok(Err(Denial::Expired(record.validity.not_after)));
        }
        let profile = session.desk.home.profile(&issued.profile)?;
        let opened = self.opened(host);
        let Some(Opened { epoch, secret }) = opened.filter(|_| profile.hmac().contains(host)) else {
            return Ok(Err(Denial::NoSharedKey));
        };
        let file = device_file(&session.store, host, epoch, secret, &record.address, session.now)?;
        let key = KeyName {
            host: host.clone(),
            epoch: epoch.number,
            first: session.store.first_since_revocation(&record.address)?,
            address: record.address,
        };
        if !is_known(&key) {
            record_hand_out(session, host, Some(&key.address))?;
        }
        Ok(Ok(Shown { key, file }))
    }

    /// Writes the keys of a device beside its bundle, in the place of those from before: the files.
    ///
    /// # Errors
    /// Where a key is not that of the current epoch, or that cannot be recorded or written.
    pub fn hand_out(
        &mut self,
        session: &mut Session<'_>,
        address: &Address,
        hosts: &[Host],
        bundle: &Path,
    ) -> Result<Vec<PathBuf>, CaError> {
        self.demand(&session.store, hosts)?;
        // No two devices have a bundle of one name, and no name of a host has an `@`.
        let stem = bundle.file_stem().unwrap_or_default().to_string_lossy();
        let mut files = Vec::new();
        for (host, Opened { epoch, secret }) in
            hosts.iter().filter_map(|host| Some((host, self.opened(host)?)))
        {
            let text = device_file(&session.store, host, epoch, secret, address, session.now)?;
            record_hand_out(session, host, Some(address))?;
            let file = bundle.with_file_name(format!("{stem}@{}.hmac.json", host.file_stem()));
            disk::replace(&file, disk::PRIVATE_FILE, text.as_bytes())?;
            files.push(file);
        }
        Ok(files)
    }
}

/// What a shared key follows from, and is known by: no two have all of it in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName {
    /// The host that the key is for.
    pub host: Host,
    /// Its epoch.
    pub epoch: u32,
    /// The device that has it.
    pub address: Address,
    /// The device's first certificate after its last revocation.
    pub first: Option<Serial>,
}

/// The key of a device that has shown its certificate.
#[derive(Debug)]
pub struct Shown {
    /// Which key it is.
    pub key: KeyName,
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
    now: Time,
) -> Result<Zeroizing<String>, CaError> {
    #[derive(Serialize)]
    struct File<'a> {
        version: u32,
        host: &'a Host,
        keyid: String,
        key: Zeroizing<String>,
    }
    let key = device_key(store, secret, epoch, address, now)?;
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
