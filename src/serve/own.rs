//! The key by which devices know the service, with its certificate: both may be others tomorrow, by a renewal
//! or by `pki server rotate`, and no connection is dropped for it.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::tls::{self, Current};
use crate::ca::{self, CaError, Desk, Session};
use crate::issuer::Servers;
use crate::key::{Passphrase, Signer, SoftwareKey};
use crate::model::server::Certified;
use crate::model::{Host, Pin};
use crate::store::Store;

/// A host of the home, which the service is to be for its devices.
pub struct OwnHost {
    /// The host, which is a server of this PKI.
    pub host: Host,
    /// The servers' CA, unlocked.
    pub servers: Servers,
    /// The passphrase that opens the host's keys, the next one as well.
    pub passphrase: Passphrase,
}

/// The host's active key and its certificate, in use.
pub(super) struct Own {
    of: OwnHost,
    key: Arc<SoftwareKey>,
    certified: Option<Certified>,
    config: Option<Current>,
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
            config: None,
        })
    }

    /// The servers' CA.
    pub(super) fn servers(&self) -> &Servers {
        &self.of.servers
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
    /// on.
    ///
    /// # Errors
    /// Where a new one cannot be signed or recorded.
    pub(super) fn certify(&mut self, session: &mut Session<'_>) -> Result<Current, CaError> {
        let before = self.certified.clone();
        let serial = before.as_ref().map(|before| before.serial);
        let public_key = self.key.public_key();
        let certified =
            ca::serving_certificate(session, &self.of.servers, &self.of.host, public_key, before)?;
        let is_same = serial == Some(certified.serial);
        if let (Some(config), true) = (&self.config, is_same) {
            self.certified = Some(certified);
            return Ok(config.clone());
        }
        let chain = vec![
            certified.certificate.clone(),
            self.of.servers.chain().ca().der().to_vec(),
        ];
        let signer: Arc<dyn Signer> = self.key.clone();
        let made = tls::of_devices(signer, chain, session.desk.home.chain().ca());
        self.certified = Some(certified);
        let config = match &self.config {
            Some(config) => {
                config.store(Arc::new(made));
                config.clone()
            }
            None => self.config.insert(Arc::new(ArcSwap::from_pointee(made))).clone(),
        };
        Ok(config)
    }
}

fn active(of: &OwnHost, desk: &Desk, store: &Store) -> Result<Arc<SoftwareKey>, CaError> {
    let server = store
        .server(&of.host)?
        .ok_or_else(|| ca::NotFound::Server(of.host.clone()))?;
    let key = ca::open_key(&desk.home, &of.host, server.active.pin, &of.passphrase)?;
    Ok(Arc::new(key))
}
