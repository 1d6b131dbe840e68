//! The link of an invite: where the service is, the name of the invite, its secret and the pin.

use zeroize::Zeroizing;

use crate::ca::{CaError, Invitation, NotFound};
use crate::cli::context::Context;
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
                    .hint("set `host` under [serve], and `device_host` to a server of the home: `pki server add HOST` takes one in"),
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

/// Says what keeps `pki serve` from serving what an invite leads to: it can be made, and nobody can use it
/// yet.
pub fn warn_unserved(home: &Home, context: &Context) {
    let ui = &context.ui;
    let serve = &home.config().serve;
    if serve.page_certificate.is_none() {
        ui.warn("the page has no certificate yet, so `pki serve` cannot show it to whoever opens the invite");
        ui.hint("set `page_certificate` and `page_key` under [serve] in pki.toml");
    }
    let host = serve.device_host.as_ref().or(serve.host.as_ref());
    if serve.device.is_some()
        && home.servers().is_none()
        && let Some(authority) = host
    {
        let host = &authority.host;
        ui.warn(format!(
            "{host} has no certificate yet, so that apps cannot enroll at `pki serve`"
        ));
        ui.hint(format!("run `pki server issue {host} --out DIR` once"));
    }
}
