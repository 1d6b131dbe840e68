//! The link of an invite: where the service is, the name of the invite, its secret and the pin.

use zeroize::Zeroizing;

use crate::ca::{CaError, Invitation, NotFound};
use crate::cli::error::Failure;
use crate::home::Home;
use crate::home::config::Serve;
use crate::model::Pin;
use crate::model::invite_link::short_pin;
use crate::store::Store;

/// What all links of a home have in common.
pub struct Link {
    host: String,
    pin: Pin,
}

impl Link {
    /// The links of this home.
    ///
    /// # Errors
    /// Where `pki.toml` does not say where the service is, or its key is none of the home's.
    pub fn of(home: &Home, store: &Store) -> Result<Self, Failure> {
        let Serve {
            host, device_host, ..
        } = &home.config().serve;
        let Some(host) = host else {
            return Err(
                Failure::refused("pki.toml does not say where phones reach `pki serve`")
                    .hint("set `host` under [serve], and `device_host` to a server of `pki server list`"),
            );
        };
        let device = &device_host.as_ref().unwrap_or(host).host;
        let Some(server) = store.server(device)? else {
            let known = NotFound::Server(device.clone());
            return Err(Failure::from(CaError::from(known)).hint(format!(
                "devices are served with a key of the home, which is pinned in the invite: run `pki server add {device}`, or set `device_host` under [serve]"
            )));
        };
        Ok(Self {
            host: host.to_string(),
            pin: server.active.pin,
        })
    }

    /// The link of one invite: a browser sends nothing of what follows the `#`.
    pub fn to(&self, invitation: &Invitation) -> Zeroizing<String> {
        let secret = Zeroizing::new(invitation.secret.expose());
        Zeroizing::new(format!(
            "https://{}/i/{}#{}.{}",
            self.host,
            invitation.invite.id,
            *secret,
            self.pin()
        ))
    }

    /// The pin of the service's key, as it stands in links.
    pub fn pin(&self) -> String {
        short_pin(&self.pin)
    }
}
