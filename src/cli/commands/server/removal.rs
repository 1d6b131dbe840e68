//! `pki server remove`: takes a server out of the register.

use std::path::PathBuf;

use serde::Serialize;

use crate::ca::{self, ClockPolicy, NotFound};
use crate::model::server::{Certifier, OldPin};
use crate::model::{Host, Pin, Serial, Server, Time};

use super::{dry_run, read_certificate};
use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::secrets::IssuingSecret;

/// Take a server out of the register: one that was taken in by mistake, or that is no more
///
/// Pins that were published stay for `overlap_days` of pki.toml, for apps that go by them, and then leave the
/// pin sets by themselves; with --now they leave at once. Its keys stay in the home, and a certificate of it
/// stays good until it is revoked. --now drops the pins of a server that was removed without it, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki server remove api.acme.exmaple
  pki server remove old.acme.example --confirm old.acme.example         its pins have been published
  pki server remove old.acme.example --now --confirm old.acme.example   no app goes by them")]
pub struct RemoveArgs {
    /// Which server
    host: Host,
    /// Its pins leave the pin sets at once
    #[arg(long)]
    now: bool,
    /// The name once more, instead of typing it: apps may go by its pins. CLOCK: go on although the clock
    /// stands before the last event or far after it
    #[arg(long, value_name = "HOST")]
    confirm: Vec<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    issuing: IssuingSecret,
}

/// See whether apps would take a server with a certificate, before the server gets it
///
/// Exit code 3, and why, where they would not: another key than the pinned one, another host, not good now.
/// For the deploy hook of certbot and its like.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki server verify api.acme.example --cert fullchain.pem
  pki server verify api.acme.example --cert \"$RENEWED_LINEAGE/fullchain.pem\" && systemctl reload nginx")]
pub struct VerifyArgs {
    /// Its name, as the apps call it
    host: Host,
    /// The certificate that it is to get; issuers may follow
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
}

#[derive(Debug, Serialize)]
struct Removed {
    host: Host,
    pins: Vec<Pin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pins_leave: Option<Time>,
}

impl std::fmt::Display for Removed {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

pub fn remove(args: RemoveArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let host = args.host;
    let (mut policy, mut confirmed) = (ClockPolicy::Strict, None);
    for name in &args.confirm {
        if name == "CLOCK" {
            policy = ClockPolicy::Confirmed;
        } else {
            confirmed = Some(name.as_str());
        }
    }
    let desk = context.desk()?;
    let overlap = desk.home.config().pin_overlap;
    let old_pins = match args.now {
        true => OldPin::Dropped,
        false => OldPin::Retires,
    };
    let store = context.read(&desk.home)?;
    let server = ca::removable(&store, &host, old_pins, (overlap, system_clock()))?;
    drop(store);
    let is_pinned = server.may_be_pinned();
    let question = match (is_pinned, args.now) {
        (true, true) => format!("Apps may go by the pins of {host}, which leave the pin sets now."),
        (true, false) => format!("Apps may go by the pins of {host}, which leave the pin sets in {overlap}."),
        (false, _) => format!("Take {host} out of the register?"),
    };
    let name = host.to_string();
    if args.dry_run {
        match is_pinned {
            true => ui.try_confirm_name(confirmed, &name, &question),
            false => ui.try_confirm(&question),
        }
        args.issuing.try_out(&desk.home, ui);
        let would = match server.removed {
            None => format!("take {host} out of the register"),
            Some(_) => format!("take the pins of {host} out of the pin sets"),
        };
        return dry_run(context, would);
    }
    match is_pinned {
        true => ui.confirm_name(confirmed, &name, &question)?,
        false => ui.confirm(&question)?,
    }
    let keyring = args.issuing.unlock_all(&desk.home, ui)?;
    let mut session = context.session(&desk, &mut policy)?;
    let server = ca::remove(&mut session, &host, old_pins)?;
    match server.removed {
        None => ui.say(format!("{host} is taken out of the register")),
        Some(_) => ui.say(format!("{host} was taken out of the register before")),
    }
    let pins_leave = (is_pinned && !args.now).then(|| session.now + overlap);
    match pins_leave {
        Some(leave) => ui.more(format!("its pins stay published until {}", leave.date())),
        None => ui.more("its pins are in no pin set"),
    }
    ui.more(format!(
        "its keys stay in {}",
        desk.home.path().join("servers").display()
    ));
    for (serial, until) in good_certificates(&server, &session)? {
        ui.warn(format!(
            "its certificate {serial} of this PKI stays good until {}",
            until.date()
        ));
        ui.hint(format!("where nothing uses it: `pki revoke {serial}`"));
    }
    let known = session.store.known_servers()?.into_iter();
    let removed = known
        .filter(|known| known.host == host)
        .find_map(|known| known.last_removed);
    for account in session.store.acme_accounts()? {
        let is_older = removed.is_some_and(|at| account.granted_seq < at);
        if is_older && account.orders_for(&host) {
            let id = account.grant.account;
            ui.warn(format!("the account {id} orders nothing for it any more"));
            ui.hint(format!(
                "`pki server acme {} --cancel {id}` ends it; `pki server acme {host}` grants another one, where it is to order unpinned",
                account.host()
            ));
        }
    }
    let exit = context.publish_change(&mut session, keyring.keys());
    let pins = server.keys().map(|(_, key)| key.pin).collect();
    ui.report_done(
        &Removed {
            host,
            pins,
            pins_leave,
        },
        exit,
    )
}

/// The certificates of the servers' CA that are good.
pub(super) fn good_certificates(
    server: &Server,
    session: &ca::Session<'_>,
) -> Result<Vec<(Serial, Time)>, Failure> {
    let mut good = Vec::new();
    for certificate in &server.certificates {
        let serial = certificate.serial.parse::<Serial>();
        let (Certifier::Own, Ok(serial)) = (certificate.issuer, serial) else {
            continue;
        };
        let certified = session.store.certified(&serial)?;
        let is_revoked = certified.is_some_and(|(_, revocation)| revocation.is_some());
        if !is_revoked && !certificate.validity.ended(session.now) {
            good.push((serial, certificate.validity.not_after));
        }
    }
    Ok(good)
}

#[derive(Debug, Serialize)]
struct Verified {
    host: Host,
    pin: Pin,
    not_after: Time,
}

impl std::fmt::Display for Verified {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

pub fn verify(args: VerifyArgs, context: &Context) -> Result<Exit, Failure> {
    let certificate = read_certificate(&args.cert)?;
    let home = context.open_despite_config()?;
    let host = args.host;
    let store = context.read(&home)?;
    let server = store.server(&host)?;
    let server = server.ok_or_else(|| {
        Failure::refused(NotFound::Server(host.clone())).hint(format!(
            "`pki server list` shows those that there are; `pki server import {host} --cert FILE` takes it in with the key that it has"
        ))
    })?;
    ca::demand_taken_by_apps(&home, &store, &server, &certificate, system_clock()).map_err(|why| {
        Failure {
            exit: Exit::Found,
            ..Failure::from(why)
        }
    })?;
    let until = certificate.validity.not_after;
    context.ui.say(format!(
        "apps that go by pins take {host} with this certificate, until {}: its key is the one that is pinned (who has signed it was not looked at)",
        until.date()
    ));
    context.ui.report(&Verified {
        host,
        pin: certificate.pin,
        not_after: until,
    })?;
    Ok(Exit::Done)
}
