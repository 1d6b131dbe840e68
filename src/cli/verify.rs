//! `pki revoke --verify URL`: nobody here has the lost device's key, so a canary proves that the server acts
//! on its revocation. CRLs only grow: one that revokes the canary, and came after the device's revocation,
//! revokes the device as well.

use serde::Serialize;

use super::canary::{ServerArgs, fly};
use super::context::Context;
use super::error::{Exit, Failure};
use crate::ca::{Desk, Whom};
use crate::check::{Acted, Depth, Url};
use crate::issuer::Devices;
use crate::model::Span;

/// The default time to wait for a server.
pub const PATIENCE: Span = Span::seconds(60);

/// A server that must act on a revocation.
pub struct Verification {
    url: Url,
    server: ServerArgs,
    /// Whom it takes back.
    whom: String,
}

/// The outcome of a verification.
#[derive(Debug, Serialize)]
pub struct Verified {
    url: String,
    /// After how many seconds the server acted; absent where it was not seen to.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<f64>,
    /// The reason why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The advice what to do then.
    #[serde(skip)]
    pub again: String,
}

impl Verification {
    /// The verification that `--verify` asks for, if it is given.
    pub fn of(url: Option<Url>, server: ServerArgs, whom: &Whom) -> Option<Self> {
        let url = url?;
        let whom = match whom {
            Whom::Device(address) => address.to_string(),
            Whom::Certificate(serial) => serial.to_string(),
        };
        Some(Self { url, server, whom })
    }

    /// The URL and how its server is found, as they were typed.
    fn typed(&self) -> String {
        let url = super::in_shell(&self.url.to_string());
        format!("{url}{}", self.server.typed())
    }

    /// The command that verifies once more, for whoever has mended what went wrong.
    fn once_more(&self) -> String {
        format!(
            "`pki revoke {} --verify {} --yes` verifies once more",
            self.whom,
            self.typed()
        )
    }

    /// What to do about a failure: first what its kind demands, and never the failing command alone.
    fn remedy(&self, failure: &Failure) -> String {
        let once_more = self.once_more();
        if failure.code == "no-address" {
            let place = super::in_shell(&format!("{}:{}:ADDR", self.url.host(), self.url.port()));
            return format!(
                "where the name is not known here, say where it is: `pki revoke {} --verify {} --resolve {place} --yes`",
                self.whom,
                self.typed()
            );
        }
        match &failure.hint {
            Some(hint) => format!("{hint}; then {once_more}"),
            None => format!(
                "{once_more}; `pki check {}` tells what is wrong there",
                self.typed()
            ),
        }
    }

    /// Waits until the server acts. The revocation remains, whatever the outcome.
    pub fn carry_out(self, context: &Context, desk: &Desk, issuing: &Devices) -> Verified {
        let outcome = self.wait(context, desk, issuing);
        if let Ok(after) = &outcome {
            context
                .ui
                .say(format!("{} acts on it, after {after:.1} s", self.url));
            context.ui.hint(format!(
                "that goes for new connections; whether it goes for resumed sessions tells `pki check {}`",
                self.typed()
            ));
        }
        Verified {
            url: self.url.to_string(),
            after: outcome.as_ref().ok().copied(),
            again: outcome
                .as_ref()
                .map_or_else(|failure| self.remedy(failure), |_| String::new()),
            failure: outcome
                .err()
                .map(|failure| format!("it is revoked and published, but {}", failure.message)),
        }
    }

    fn wait(&self, context: &Context, desk: &Desk, issuing: &Devices) -> Result<f64, Failure> {
        let patience = self.server.patience(PATIENCE)?;
        let mut met = self
            .server
            .meet(&self.url, Some(&desk.home), patience, &context.ui)?;
        let not = |why: &str| Failure::new(Exit::Incomplete, "unverified", format!("{} {why}", self.url));
        if !met.is_expected {
            return Err(
                not("is not known for the right server by chain, name and pins, so nothing was asked of it").hint(format!(
                    "`pki check {} --no-canary` tells which it is; for a private CA or a self-signed certificate give --ca FILE",
                    self.typed()
                )),
            );
        }
        let flown = fly(
            context,
            desk,
            issuing,
            &mut met,
            None,
            Depth::NewConnections,
            patience,
        )?;
        match flown.acted {
            Some((Acted::After(took), _)) => Ok(took.as_secs_f64()),
            Some((Acted::NotWithin(waited), crl)) => Err(not(&format!(
                "has not acted on CRL {} within {} s",
                crl.number,
                waited.as_secs()
            ))
            .hint("have it read the publication (nginx does when it is reloaded), or wait longer with --patience")),
            Some((Acted::NotSeen, crl)) => Err(not(&format!(
                "took too long over all that was asked: whether it acts on CRL {} was not seen",
                crl.number
            ))),
            Some((Acted::Shut(control), crl)) => Err(not(&format!(
                "lets in nobody since CRL {}, so nothing can be said of revoked ones: who shows a valid certificate is {control}",
                crl.number
            ))),
            None => Err(not(
                "does not let in a valid certificate either, so nothing can be said of revoked ones",
            )),
        }
    }
}
