//! The key by which devices know the service, with its certificate: both may be others tomorrow, by a renewal
//! or by `pki server rotate`, and no connection is dropped for it.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::tls::{self, Current, OwnKey};
use crate::ca::{self, CaError, ClockPolicy, Desk};
use crate::issuer::Servers;
use crate::key::{Passphrase, SoftwareKey};
use crate::model::server::Certified;
use crate::model::{Host, Pin, Validity};
use crate::store::Store;

/// A host of the home, which the service is to be for its devices.
pub struct OwnHost {
    /// The host, which is a server of this PKI.
    pub host: Host,
    /// The servers' CA, unlocked; none where the certificate that there is must do.
    pub servers: Option<Servers>,
    /// The passphrase that opens the host's keys, the next one as well.
    pub passphrase: Arc<Passphrase>,
}

/// The host's active key and its certificate, in use.
pub(super) struct Own {
    of: OwnHost,
    key: Arc<SoftwareKey>,
    certified: Option<Certified>,
    configs: Option<Configs>,
}

/// How the faces are encrypted that show this certificate.
#[derive(Clone)]
pub(super) struct Configs {
    /// That of devices.
    pub(super) devices: Current,
    /// That of servers.
    pub(super) servers: Current,
}

impl Own {
    /// Opens the active key. Takes as long as its scrypt.
    ///
    /// # Errors
    /// Where the host is no server of the home, or its key does not open.
    pub(super) fn open(of: OwnHost, desk: &Desk, store: &Store) -> Result<Self, CaError> {
        let key = active(&of, desk, store)?;
        let certified = ca::newest_certificate(&desk.home, &of.host, key.public_key())?;
        Ok(Self {
            of,
            key,
            certified,
            configs: None,
        })
    }

    /// The servers' CA.
    pub(super) fn servers(&self) -> Option<&Servers> {
        self.of.servers.as_ref()
    }

    /// The everyday passphrase.
    pub(super) fn passphrase(&self) -> &Passphrase {
        &self.of.passphrase
    }

    /// When the certificate in use is good.
    pub(super) fn validity(&self) -> Option<Validity> {
        self.certified.as_ref().map(|certified| certified.validity)
    }

    /// Opens the key that is in use by now, where that is another one. Not under the lock: it takes its time.
    ///
    /// # Errors
    /// Where it does not open.
    pub(super) fn follow(&mut self, desk: &Desk, store: &Store) -> Result<(), CaError> {
        let is_active = |pin| {
            store
                .server(&self.of.host)
                .map(|server| server.is_some_and(|one| one.active.pin == pin))
        };
        if !is_active(Pin(self.key.public_key().spki_sha256()))? {
            self.key = active(&self.of, desk, store)?;
            self.certified = ca::newest_certificate(&desk.home, &self.of.host, self.key.public_key())?;
        }
        Ok(())
    }

    /// Sees to it that the key has a certificate that is good for long, and uses it from the next connection
    /// on. Where the servers' CA is not at hand, that is the newest one that anybody had signed.
    ///
    /// # Errors
    /// Where a new one cannot be signed or recorded, or there is none.
    pub(super) fn certify(&mut self, desk: &Desk, store: &mut Store) -> Result<Configs, CaError> {
        let (host, key) = (&self.of.host, self.key.public_key());
        let before = self.certified.clone();
        let serial = before.as_ref().map(|before| before.serial);
        let certified = match &self.of.servers {
            Some(servers) => {
                let mut session = desk.turn(store, ClockPolicy::Strict)?;
                ca::serving_certificate(&mut session, servers, host, key, before)?
            }
            None => ca::newest_certificate(&desk.home, host, key)?
                .ok_or_else(|| ca::NotFound::ServerCertificate(host.clone()))?,
        };
        let is_same = serial == Some(certified.serial);
        let certified = self.certified.insert(certified);
        if let (Some(configs), true) = (&self.configs, is_same) {
            return Ok(configs.clone());
        }
        let issuer = desk.home.servers().map(|chain| chain.ca().der().to_vec());
        let chain = std::iter::once(certified.certificate.clone()).chain(issuer);
        let own = OwnKey {
            key: self.key.clone(),
            chain: chain.collect(),
        };
        let devices = tls::of_devices(&own, desk.home.chain().ca());
        let servers = tls::of_servers(&own);
        Ok(match &self.configs {
            Some(configs) => {
                configs.devices.store(Arc::new(devices));
                configs.servers.store(Arc::new(servers));
                configs.clone()
            }
            None => {
                let [devices, servers] = [devices, servers].map(|made| Arc::new(ArcSwap::from_pointee(made)));
                self.configs.insert(Configs { devices, servers }).clone()
            }
        })
    }
}

fn active(of: &OwnHost, desk: &Desk, store: &Store) -> Result<Arc<SoftwareKey>, CaError> {
    let server = store
        .server(&of.host)?
        .ok_or_else(|| ca::NotFound::Server(of.host.clone()))?;
    let key = ca::open_key(&desk.home, &of.host, server.active.pin, &of.passphrase)?;
    Ok(Arc::new(key))
}
