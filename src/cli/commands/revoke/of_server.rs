//! `pki revoke SERIAL` of a certificate that a server has: apps refuse it, by the CRL of the servers' CA.

use super::Report;
use crate::ca::{self, ClockPolicy, Desk};
use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::recording::{is_behind, publish, tell_recorded_alone, unlock};
use crate::cli::report::DryRun;
use crate::cli::secrets::{IssuingSecret, Keyring};
use crate::model::{Host, Serial, Time};

/// Takes back a certificate of the servers' CA. Its key stays pinned: what must not be used again is rotated.
pub fn revoke(
    args: super::Args,
    context: &Context,
    desk: &Desk,
    serial: Serial,
    host: Host,
    since: Option<Time>,
) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let reason = args.of_server();
    let label = format!("certificate {serial} of the server {host}");
    if args.verify.is_some() {
        return Err(Failure::usage(format!(
            "--verify has no meaning for {label}: apps refuse it, and no server"
        )));
    }
    if args.common.dry_run {
        let question = format!("Revoke {label} ({})?", reason);
        if since.is_none() {
            ui.try_confirm(&question);
        }
        if !args.common.no_publish && (since.is_none() || is_behind(desk)?) {
            args.common.try_out(desk, ui);
        }
        let would = format!("revoke {label}");
        ui.say(format!("would {would}"));
        ui.report(&DryRun::new(vec![would]))?;
        return Ok(Exit::Done);
    }
    let (mut exit, mut published) = (Exit::Done, false);
    if let Some(since) = since {
        ui.say(format!("{label} was revoked already, on {since}"));
        if !args.common.no_publish && is_behind(desk)? {
            let keyring = unlock(&args.common.issuing, context, desk, IssuingSecret::unlock_all)?;
            let mut session = context.session(desk, &mut ClockPolicy::Lenient)?;
            exit = publish(context, &mut session, keyring.as_ref().map(Keyring::keys))?;
            published = exit == Exit::Done;
        }
    } else {
        ui.confirm(&format!("Revoke {label} ({})?", reason))?;
        let keyring = match args.common.no_publish {
            true => None,
            false => unlock(&args.common.issuing, context, desk, IssuingSecret::unlock_all)?,
        };
        let mut session = context.session(desk, &mut ClockPolicy::Lenient)?;
        ca::revoke_server(&mut session, serial, reason)?;
        ui.say(format!("{label} is revoked"));
        if args.common.no_publish {
            exit = tell_recorded_alone(context, desk, "run `pki publish`");
        } else {
            exit = publish(context, &mut session, keyring.as_ref().map(Keyring::keys))?;
            published = exit == Exit::Done;
        }
        if reason.gives_up_key() {
            context.tell_keys_given_up(&session.store)?;
        }
    }
    let report = Report {
        employee: None,
        revoked: if since.is_none() { vec![serial] } else { Vec::new() },
        already_since: since,
        devices_left: 0,
        published,
        verified: None,
    };
    ui.report_done(&report, Ok(exit))
}
