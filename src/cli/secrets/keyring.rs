//! The keys that the everyday passphrase opens.

use crate::ca::{CaError, Keys};
use crate::cli::error::Failure;
use crate::disk::Shown;
use crate::home::Home;
use crate::issuer::{Chain, Devices, Servers};
use crate::key::{Passphrase, SoftwareKey};
use crate::model::Authority;

/// The keys that the everyday passphrase opens, and the passphrase itself: new keys of servers are encrypted
/// with it.
pub struct Keyring {
    /// The issuing CA.
    pub issuing: Devices,
    /// The servers' CA, once there is one.
    pub servers: Option<Servers>,
    /// The passphrase.
    pub passphrase: Passphrase,
}

impl Keyring {
    /// The keys that a publication can be signed with.
    pub fn keys(&self) -> Keys<'_> {
        Keys {
            issuing: Some(&self.issuing),
            servers: self.servers.as_ref(),
        }
    }
}

/// Opens the servers' CA with the passphrase that has opened the issuing CA.
///
/// # Errors
/// Where it does not, or key and certificate are not of one CA.
pub fn open_servers(home: &Home, chain: Chain, passphrase: &Passphrase) -> Result<Servers, Failure> {
    let pem = home.key(Authority::Servers)?;
    let key = SoftwareKey::decrypt(&pem, passphrase).map_err(|why| CaError::Key {
        path: Shown(home.key_path(Authority::Servers)),
        why,
    })?;
    Ok(Servers::open(chain, key, home.config().base_url.clone())?)
}
