//! What the rotation of the service's own key means: it takes the new one by itself, and invites that are out
//! have the pin of the old one.

use crate::ca;
use crate::cli::context::Context;
use crate::cli::error::Failure;
use crate::home::Home;
use crate::model::{Host, Time, counted};
use crate::store::Store;

/// How many invites are named one by one.
const SHOWN: usize = 5;

/// Whether devices, or servers, know `pki serve` by this host's key.
pub fn is_of_the_service(home: &Home, host: &Host) -> bool {
    let serve = &home.config().serve;
    let of_devices = serve.device_host.as_ref().or(serve.host.as_ref());
    let mut authorities = of_devices.into_iter().chain(&serve.acme_host);
    authorities.any(|authority| authority.host == *host)
}

/// Tells of the invites whose links have the pin of the key before.
///
/// # Errors
/// A damaged index.
pub fn tell_old_pins(store: &Store, now: Time, context: &Context) -> Result<(), Failure> {
    let ui = &context.ui;
    let open = ca::all_open_invites(store, now)?;
    if open.is_empty() {
        return Ok(());
    }
    ui.warn(format!(
        "{} that {} open {} the pin of the key before: an app refuses the service by it, and a browser does not look at it",
        counted(open.len(), "invite"),
        if open.len() == 1 { "is" } else { "are" },
        if open.len() == 1 { "has" } else { "have" },
    ));
    for invite in open.iter().take(SHOWN) {
        ui.more(format!("{} for {}", invite.id, invite.address));
    }
    if open.len() > SHOWN {
        ui.more(format!(
            "and {} more: `pki invite list --open`",
            open.len() - SHOWN
        ));
    }
    ui.hint("invite anew whoever enrolls by an app: `pki invite create ADDRESS` cancels the one before");
    Ok(())
}
