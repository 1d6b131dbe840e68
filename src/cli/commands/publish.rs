//! `pki publish`: brings the publication up to date, at the operator's word or a timer's.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::ca::{
    self, ClockPolicy, Desk, EndingAuthority, EndingServer, Ends, Extent, Keys, PublishingError, Refresh,
    Scope, Sources, Whom,
};
use crate::doctor::ROTATE;
use crate::home::config::PublishTo;
use crate::model::server::Certifier;
use crate::model::{Address, Clock, Host, Record, Serial, counted};

use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::named::Named;
use crate::cli::published::in_words;
use crate::cli::report::DryRun;
use crate::cli::secrets::{IssuingSecret, Keyring};

/// Bring the publication up to date: CRLs, pin sets, CA certificates, device lists
///
/// Writes public/ and server/ in the home and every [[publish]] place of pki.toml. A CRL is signed anew where
/// something was revoked or half of its life is over, and only then; where nothing has changed nothing is
/// written and no passphrase needed. Run it from a timer: servers let nobody in once the CRL has ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki publish
  pki publish --no-input --unlock --passphrase-file /etc/pki/passphrase     from a timer, or in a crontab:
  17 */6 * * *  PKI_PASSPHRASE_FILE=$HOME/.pki-passphrase /usr/local/bin/pki publish --no-input --unlock -q
  pki publish /etc/nginx/pki/public                                nowhere else
  pki publish --published /mnt/api-server/pki/server               after a restore: what a server has fetched knows more
  pki publish --keep alice/phone                                   what was recovered so is hers
  pki publish --dry-run                                            what would be written?")]
pub struct Args {
    /// Only this directory or s3:// place of a [[publish]], beside the home's own [default: all of them]
    #[arg(value_name = "TARGET")]
    target: Option<PathBuf>,
    /// Take in first what is there and the ledger has lost (after a restore from a backup): the half `server`
    /// that a server has fetched; the half `public` or a CRL say only who is revoked
    #[arg(long, alias = "reconcile", value_name = "DIR|FILE")]
    published: Vec<PathBuf>,
    /// A recovered certificate is to stay: EMPLOYEE/DEVICE or its serial number
    #[arg(long, value_name = "ADDRESS|SERIAL", conflicts_with_all = ["published", "dry_run"])]
    keep: Vec<Named>,
    /// Say whether something would be published, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Open the issuing key also where nothing is to be signed: a wrong passphrase is found by the timer's
    /// first run, not weeks later
    #[arg(long)]
    unlock: bool,
    /// Go on although the clock stands before the last event or far after it (CLOCK); the ledger is the
    /// newest that there is, whatever a place has lost or knows beyond it (LEDGER); the PKI goes on in this
    /// home, which was copied (HOME); after a restore, what was in this place of pki.toml is lost, whatever
    /// it was (its path or s3:// place)
    #[arg(long, value_name = "NAME")]
    confirm: Vec<String>,
    #[command(flatten)]
    issuing: IssuingSecret,
}

#[derive(Debug, Serialize)]
struct Report {
    written: Vec<Written>,
    crl_number: Option<u64>,
    pins_number: Option<u64>,
    revoked: Option<u64>,
    adopted: usize,
    recovered: Vec<Serial>,
    /// Places, lines of lists, employees: what the ledger may not know.
    in_doubt: Vec<String>,
    failed: Vec<String>,
    ending: Vec<Address>,
    ended: Vec<Address>,
    ending_servers: Vec<Host>,
    /// CAs, by what they are called.
    ending_authorities: Vec<&'static str>,
    /// Why the servers' CA has signed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    unopened: Option<String>,
}

#[derive(Debug, Serialize)]
struct Written {
    area: String,
    number: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written
            .iter()
            .try_for_each(|w| writeln!(f, "{} {}", w.area, w.number))
    }
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let mut desk = context.desk()?;
    desk.reconciles = true;
    let (mut policy, mut is_current) = (ClockPolicy::Strict, false);
    let mut given_up = Vec::new();
    let places = desk.home.config().publish.iter().flat_map(PublishTo::places);
    let places: Vec<String> = places.map(|place| place.name().display().to_string()).collect();
    for name in &args.confirm {
        match name.as_str() {
            "CLOCK" => policy = ClockPolicy::Confirmed,
            "HOME" => desk.goes_on_here = true,
            "LEDGER" => is_current = true,
            other if places.iter().any(|place| place == other) => given_up.push(other.to_owned()),
            other => {
                return Err(Failure::usage(format!(
                    "--confirm {other}: here only CLOCK, HOME and LEDGER have a meaning, and after a restore the places of pki.toml"
                )));
            }
        }
    }
    let scope = || -> Result<Scope<'_>, Failure> {
        Ok(Scope {
            only: args.target.as_deref(),
            sources: Sources::read(&desk.home, args.published.iter().map(PathBuf::as_path))?,
            is_current,
            given_up: &given_up,
            extent: Extent::Whole,
        })
    };
    context.is_publishing.set(!args.dry_run);
    if args.dry_run {
        if desk.goes_on_here {
            return Err(Failure::usage(
                "--confirm HOME is remembered, which is none of --dry-run's",
            ));
        }
        let session = context.session(&desk, &mut policy)?;
        let unreconciled = session.unreconciled;
        let behind = ca::behind_within(&session, scope()?.sources, Extent::Whole)?;
        let mut would: Vec<String> = behind.iter().map(ToString::to_string).collect();
        would
            .iter()
            .for_each(|reason| ui.say(format!("would publish: {reason}")));
        if let Some(made) = unreconciled {
            let reconcile = format!("reconcile this home with what happened since the backup of {made}");
            ui.say(format!("would {reconcile}"));
            would.push(reconcile);
        }
        for following in ca::owed_commands(&desk.home) {
            let command = format!("run {}", in_words(&following.command));
            ui.say(format!("would {command}"));
            would.push(command);
        }
        if would.is_empty() {
            ui.say("nothing has changed");
        }
        ui.report(&DryRun::new(would))?;
        return Ok(Exit::Done);
    }
    keep(&args.keep, context, &desk, &mut policy)?;
    if scope()?.sources.name_no_devices() {
        ui.warn("what was handed in says who is revoked, and names no device that servers accept");
        ui.hint("hand in the half `server` that a server has fetched, too");
    }
    let mut unopened = None;
    // Whatever is wrong with the key keeps nobody waiting who is locked out already.
    let mut unlock = |policy: &mut ClockPolicy| -> Result<Keyring, Failure> {
        match args.issuing.unlock_what_opens(&desk.home, ui) {
            Ok((keyring, failed)) => {
                unopened = failed;
                Ok(keyring)
            }
            Err(failure) => {
                bring_signed_before(context, &desk, policy, args.target.as_deref());
                Err(failure)
            }
        }
    };
    let unlocked = if args.unlock {
        let keyring = unlock(&mut policy)?;
        ui.say("the issuing key opens");
        Some(keyring)
    } else {
        None
    };
    // The lock is free while the passphrase is typed and the key unlocked; then everything is looked at
    // again.
    let keys = unlocked.as_ref().map_or(Keys::default(), Keyring::keys);
    let (published, told, clock) = match refresh(context, &desk, &mut policy, keys, scope()?)? {
        (Refresh::Done(published), told, clock) => (published, told, clock),
        (Refresh::NeedsKey, ..) => {
            let keyring = unlock(&mut policy)?;
            match refresh(context, &desk, &mut policy, keyring.keys(), scope()?)? {
                (Refresh::Done(published), told, clock) => (published, told, clock),
                (Refresh::NeedsKey, told, clock) => (Box::default(), told, clock),
            }
        }
    };
    let mut exit = context.tell_published(&published, clock);
    if let Some(failed) = &unopened {
        // Nobody is locked out of the devices' side for that.
        ui.warn(&failed.message);
        let of_passphrase = "servers' keys have the passphrase of the issuing key: give it that one again; `pki doctor --unlock` names all that \
                             do not open";
        ui.hint(match (failed.code, &failed.hint) {
            ("wrong-passphrase", _) => of_passphrase,
            (_, Some(hint)) => hint,
            (_, None) => "restore that file from a backup; `pki doctor --unlock` names all that do not open",
        });
        exit = Exit::Incomplete;
    }
    if published.written.is_empty() {
        ui.say("nothing has changed");
    }
    // Where no place of pki.toml could be written nobody has seen it.
    let is_at_home = published.changed.is_empty() && !published.failed.is_empty();
    let done = if is_at_home {
        "written in this home alone:"
    } else {
        "published"
    };
    for (area, number) in &published.written {
        ui.say(format!("{done} {area} {number}"));
    }
    if told.is_now {
        tell_ends(&told.ends, context);
    }
    let report = Report {
        written: published
            .written
            .iter()
            .map(|(a, n)| Written {
                area: a.to_string(),
                number: *n,
            })
            .collect(),
        crl_number: published.crl.as_ref().map(|crl| crl.number),
        pins_number: published.pins,
        revoked: published.crl.as_ref().map(|crl| crl.entries),
        adopted: published.adopted,
        recovered: published.recovered.iter().map(|told| told.serial).collect(),
        in_doubt: published.doubts.names(),
        failed: published
            .failed
            .iter()
            .map(|(place, error)| format!("{place}: {error}"))
            .collect(),
        ending: addresses(&told.ends.ending),
        ended: addresses(&told.ends.ended),
        ending_authorities: told.ends.authorities.iter().map(|ending| ending.what).collect(),
        unopened: unopened.map(|failed| failed.message),
        ending_servers: told
            .ends
            .servers
            .iter()
            .map(|server| server.host.clone())
            .collect(),
    };
    ui.report_done(&report, Ok(exit))
}

/// Notes that recovered certificates are to stay.
fn keep(named: &[Named], context: &Context, desk: &Desk, policy: &mut ClockPolicy) -> Result<(), Failure> {
    for named in named {
        let whom = match named {
            Named::Serial(serial) => Whom::Certificate(*serial),
            Named::Addressee(addressee) => Whom::Device(context.existing(&desk.home, addressee)?),
        };
        let mut session = context.session(desk, policy)?;
        for record in ca::keep(&mut session, &whom)? {
            context
                .ui
                .say(format!("{} of {} is kept", record.serial, record.address));
        }
    }
    Ok(())
}

/// Without the key: brings what was signed before to every place that lacks it, and has what is owed done.
/// Where that fails it is told beside: the command ends with what is wrong with the key.
fn bring_signed_before(context: &Context, desk: &Desk, policy: &mut ClockPolicy, only: Option<&Path>) {
    let ui = &context.ui;
    let brought = context.session(desk, policy).and_then(|mut session| {
        let published = ca::bring_signed_before(&mut session, only)?;
        Ok((published, session.clock))
    });
    match brought {
        Ok((published, clock)) => {
            for place in &published.changed {
                let place = place.display();
                ui.say(format!("{place} has what was signed before"));
            }
            context.tell_published(&published, clock);
        }
        Err(why) => {
            ui.warn(format!(
                "what was signed before was brought nowhere: {}",
                why.message
            ));
            if let Some(hint) = why.hint {
                ui.hint(hint);
            }
        }
    }
}

/// The devices whose certificates end, and whether they are told now.
#[derive(Default)]
struct Told {
    ends: Ends,
    is_now: bool,
}

fn refresh(
    context: &Context,
    desk: &Desk,
    policy: &mut ClockPolicy,
    keys: Keys<'_>,
    scope: Scope<'_>,
) -> Result<(Refresh, Told, Clock), Failure> {
    let mut session = context.session(desk, policy)?;
    let before = session.store.seq();
    let refreshed = ca::refresh_within(&mut session, keys, scope).map_err(|error| {
        // A CRL that was signed is recorded, and one half may be out: that is not "nothing changed".
        if session.store.seq() == before {
            error
        } else {
            PublishingError::Unpublished(Box::new(error)).into()
        }
    })?;
    let told = match &refreshed {
        // It is done again with the key.
        Refresh::NeedsKey => Told::default(),
        Refresh::Done(published) => {
            let ends = Ends::of(&session, published)?;
            // A person who runs it by hand is told each time, and takes nothing away from whoever reads what
            // the timer says.
            let is_now = if context.ui.is_watched() {
                !ends.is_empty()
            } else {
                ca::note_timer(&session, &ends)?
            };
            Told { ends, is_now }
        }
    };
    Ok((refreshed, told, session.clock))
}

/// Tells of certificates that end: also with `-q`, for nothing else would foretell it.
fn tell_ends(ends: &Ends, context: &Context) {
    let ui = &context.ui;
    if let Some(first) = ends.ending.first() {
        let count = ends.ending.len();
        ui.warn(format!(
            "{} within {}, the first on {}: {}",
            match count {
                1 => "1 certificate of a device ends".to_owned(),
                more => format!("{more} certificates of devices end"),
            },
            ends.within,
            first.validity.not_after.date(),
            some(&ends.ending)
        ));
        let days = ends.within.as_seconds() / 86_400;
        ui.hint(format!(
            "pki renew --expiring {days}d --out DIR --bundle-passphrase-out FILE; who is to have none any more: pki revoke EMPLOYEE/DEVICE"
        ));
    }
    if !ends.ended.is_empty() {
        let count = ends.ended.len();
        ui.warn(format!(
            "{} {} no certificate any more, for the last one has ended: {}",
            counted(count, "device"),
            if count == 1 { "has" } else { "have" },
            some(&ends.ended)
        ));
        ui.hint("pki renew --expired --out DIR --bundle-passphrase-out FILE; what is used no more: pki revoke EMPLOYEE/DEVICE");
    }
    for EndingAuthority { what, end } in &ends.authorities {
        let ends = if *end < system_clock() { "ended" } else { "ends" };
        ui.warn(format!("the certificate of the {what} {ends} on {}", end.date()));
        ui.hint(ROTATE);
    }
    for EndingServer {
        host, end, certifier, ..
    } in &ends.servers
    {
        let ends = if *end < system_clock() {
            "has ended"
        } else {
            "ends"
        };
        ui.warn(format!(
            "the certificate of the server {host} {ends} on {}",
            end.date()
        ));
        ui.hint(match certifier {
            Certifier::Own => format!("pki server issue {host} --out DIR, where its key is"),
            Certifier::Other => {
                format!("renew it with the same key, then `pki server import {host} --cert FILE`")
            }
        });
    }
}

/// The devices of these, the first of them at least.
fn some(records: &[Record]) -> String {
    const SHOWN: usize = 5;
    let more = if records.len() > SHOWN { ", …" } else { "" };
    let names: Vec<String> = records
        .iter()
        .take(SHOWN)
        .map(|record| record.address.to_string())
        .collect();
    names.join(", ") + more
}

fn addresses(records: &[Record]) -> Vec<Address> {
    records.iter().map(|record| record.address.clone()).collect()
}
