//! `pki revoke` and `pki offboard`: lock out a device, a certificate or a person.

mod of_server;

use std::fmt;

use serde::Serialize;

use crate::ca::{self, CaError, ClockPolicy, Desk, Keys, NotFound, Revoked, Session, Whom};
use crate::check::Url;
use crate::issuer::Devices;
use crate::model::{Address, Authority, Employee, Host, Invite, Reason, Serial, Time, counted};
use crate::store::Store;

use crate::cli::canary::ServerArgs;
use crate::cli::context::{Context, Sought, earliest};
use crate::cli::error::{Exit, Failure};
use crate::cli::invited::{has_ended, would_end};
use crate::cli::named::{Addressee, Named};
use crate::cli::recording::{is_behind, publish, tell_recorded_alone, unlock};
use crate::cli::report::DryRun;
use crate::cli::secrets::IssuingSecret;
use crate::cli::ui::Ui;
use crate::cli::verify::{Verification, Verified};
use crate::cli::words::Words;

/// Lock a device out: every certificate of it that servers accept, at once
///
/// Records it, signs a new CRL and publishes it. `pki revoke SERIAL` takes back exactly one certificate.
/// Servers act on it when they have read it: some by themselves, most at a reload, all at a restart.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki revoke alice                            her only active device
  pki revoke alice/tablet --reason stolen
  pki revoke 0A1B2C3D4E5F60718293A4B5C6D7E8F9 --reason replaced
  pki revoke 0A1B…E8F9 --confirm 0A1B…E8F9    one that the ledger has lost (a restored backup)
  pki revoke alice --verify https://api.acme.example    and wait until that server acts on it
  pki revoke alice --yes --passphrase-file /etc/pki/passphrase")]
pub struct Args {
    /// EMPLOYEE, EMPLOYEE/DEVICE or a serial number
    #[arg(value_name = "ADDRESS|SERIAL", value_hint = clap::ValueHint::Other)]
    whom: Named,
    /// Why [default: lost; of a server's certificate unspecified]
    #[arg(long, value_parser = Words::new(&Reason::ALL, Reason::word))]
    reason: Option<Reason>,
    /// The serial number once more, for a certificate that the ledger does not know
    #[arg(long, value_name = "SERIAL")]
    confirm: Option<Serial>,
    /// Wait until this server acts on it: a canary, revoked after it, is refused there
    #[arg(long, value_name = "URL", conflicts_with = "no_publish", value_hint = clap::ValueHint::Url)]
    verify: Option<Url>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    common: Common,
}

/// Lock a person out: every certificate of every device, and nothing new until `--reissue`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki offboard alice
  pki offboard alice --confirm alice --passphrase-file /etc/pki/passphrase")]
pub struct OffboardArgs {
    /// Who leaves
    #[arg(value_hint = clap::ValueHint::Other)]
    employee: Employee,
    /// The name once more, instead of typing it
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// What both take.
#[derive(Debug, clap::Args)]
struct Common {
    /// Record it, and leave the CRL to the next `pki publish` (no passphrase is needed)
    #[arg(long)]
    no_publish: bool,
    /// Say what would be revoked, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    issuing: IssuingSecret,
}

impl Common {
    /// Says of a dry run that nobody would give the passphrase here. Where nobody can tell whether `pki.toml`
    /// says who does, a revocation is recorded without it.
    fn try_out(&self, desk: &Desk, ui: &Ui) {
        if desk.home.unread().is_none() {
            self.issuing.try_out(&desk.home, ui);
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    employee: Option<Employee>,
    revoked: Vec<Serial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    already_since: Option<Time>,
    devices_left: usize,
    published: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<Verified>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.revoked.iter().try_for_each(|serial| writeln!(f, "{serial}"))
    }
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    args.server.patience(crate::cli::verify::PATIENCE)?;
    let desk = context.desk_to_revoke()?;
    let looked = look(&args.common, context, &desk, |store| {
        Ok(match meant(&args.whom, context, store)? {
            Meant::One(whom) => Ok((outlook(&whom, &args, store)?, whom)),
            Meant::OneOf(several) => Err(several),
        })
    })?;
    // An open index keeps others out while somebody types.
    let (outlook, whom) = match looked {
        Ok(looked) => looked,
        Err(several) => {
            let whom = Whom::Device(context.one_of(several)?);
            (outlook(&whom, &args, &desk.home.read()?)?, whom)
        }
    };
    let found = match outlook {
        Outlook::Recorded(found) => found,
        Outlook::Unrecorded { serial, raised } => {
            return revoke_unrecorded(args, context, &desk, serial, raised);
        }
        Outlook::Server { serial, host, since } => {
            return of_server::revoke(args, context, &desk, serial, host, since);
        }
    };
    let (reason, said) = (args.of_device(), args.reason);
    if found.accepted > 0 {
        let question = format!("Revoke {} ({reason})?", found.label);
        match args.common.dry_run {
            true => context.ui.try_confirm(&question),
            false => context.ui.confirm(&question)?,
        }
    }
    let verification = Verification::of(args.verify, args.server, &whom);
    finish(
        (args.common, verification),
        context,
        &desk,
        Deed::Revoked,
        &found,
        |session| {
            let revoked = ca::revoke(session, &whom, reason)?;
            raise(session, &whom, said, revoked)
        },
    )
}

/// Where nothing was left to revoke, what was revoked already is so for the reason that was said.
fn raise(
    session: &mut Session<'_>,
    whom: &Whom,
    said: Option<Reason>,
    mut revoked: Revoked,
) -> Result<Revoked, CaError> {
    if let (Some(reason), true) = (said, revoked.certificates.is_empty()) {
        revoked.certificates = ca::raise(session, whom, reason)?;
    }
    Ok(revoked)
}

impl Args {
    /// The reason for which a device, or a certificate of one, is revoked.
    fn of_device(&self) -> Reason {
        self.reason.unwrap_or(Reason::Lost)
    }

    /// The reason for which a server's certificate is. Nobody loses a server, and its key stays in use unless
    /// somebody says that it must not.
    fn of_server(&self) -> Reason {
        self.reason.unwrap_or(Reason::Unspecified)
    }
}

/// What is to be taken back.
struct Found {
    /// Whose it is.
    label: String,
    /// How many certificates there are to take back, or to revoke for more than before.
    accepted: usize,
    /// The invites that end with them.
    invites: Vec<Invite>,
}

/// What a revocation will come upon.
enum Outlook {
    /// Certificates that the ledger knows, or the invites of a device.
    Recorded(Found),
    /// A server's, of the servers' CA.
    Server {
        serial: Serial,
        host: Host,
        /// Since when it is revoked already.
        since: Option<Time>,
    },
    /// One that it does not know, or by its revocation alone.
    Unrecorded {
        serial: Serial,
        /// How many revocations the reason raises, one or none, of one that is revoked already.
        raised: Option<usize>,
    },
}

/// Looks at the ledger once: where devices are many, opening it takes longer than all that is asked of it. It
/// has what the published lists name first, where something is to be done.
fn look<T>(
    common: &Common,
    context: &Context,
    desk: &Desk,
    look: impl FnOnce(&Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    match common.dry_run {
        true => look(&context.read(&desk.home)?),
        false => look(&context.recover(desk)?.store),
    }
}

/// What a name stands for.
enum Meant {
    One(Whom),
    OneOf(Sought),
}

fn meant(named: &Named, context: &Context, store: &Store) -> Result<Meant, Failure> {
    let addressee = match named {
        Named::Serial(serial) => return Ok(Meant::One(Whom::Certificate(*serial))),
        Named::Addressee(addressee) => addressee,
    };
    if let Some(address) = only_invited(store, addressee)? {
        return Ok(Meant::One(Whom::Device(address)));
    }
    Ok(match context.sought(store, addressee)? {
        Sought::One(address) => Meant::One(Whom::Device(address)),
        several @ Sought::Several(..) => Meant::OneOf(several),
    })
}

fn outlook(whom: &Whom, args: &Args, store: &Store) -> Result<Outlook, Failure> {
    let records = match whom {
        Whom::Certificate(serial) => store.record(serial)?.into_iter().collect(),
        Whom::Device(address) => store.device(address)?,
    };
    let now = earliest(store)?;
    let invites = ca::invites_of(store, whom, now)?;
    // A reason that nobody has said raises none.
    let raised = match args.reason {
        Some(reason) => ca::to_raise(store, whom, reason)?.len(),
        None => 0,
    };
    let label = match (whom, records.first()) {
        (Whom::Certificate(serial), Some(record)) => format!("certificate {serial} of {}", record.address),
        (Whom::Device(address), Some(_)) => address.to_string(),
        (Whom::Certificate(serial), None) => {
            if let Some((host, revocation)) = store.certified(serial)? {
                let done =
                    revocation.filter(|before| !args.of_server().raises(before.reason, Authority::Servers));
                let since = done.map(|revocation| revocation.at);
                let serial = *serial;
                return Ok(Outlook::Server { serial, host, since });
            }
            return Ok(Outlook::Unrecorded {
                serial: *serial,
                raised: store.revocation(serial)?.map(|_| raised),
            });
        }
        (Whom::Device(address), None) if invites.is_empty() => {
            return Err(NotFound::Device(address.clone()).into());
        }
        (Whom::Device(address), None) => address.to_string(),
    };
    let accepted = match ca::to_take_back(records, now).len() {
        0 => raised,
        accepted => accepted,
    };
    Ok(Outlook::Recorded(Found {
        label,
        invites,
        accepted,
    }))
}

/// The device that is meant, where it has never had a certificate, and has an invite that is open: its sheet
/// was lost. None where nothing or more than one is meant.
fn only_invited(store: &Store, addressee: &Addressee) -> Result<Option<Address>, Failure> {
    let (employee, records) = match addressee {
        Addressee::Device(address) => (&address.employee, store.device(address)?),
        Addressee::Employee(employee) => (employee, store.employee(employee)?),
    };
    if !records.is_empty() {
        return Ok(None);
    }
    let open = ca::open_of_employee(store, employee, earliest(store)?)?;
    let mut devices: Vec<Address> = open.into_iter().map(|invite| invite.address).collect();
    if let Addressee::Device(address) = addressee {
        devices.retain(|device| device == address);
    }
    devices.dedup();
    Ok(match devices.len() {
        1 => devices.pop(),
        _ => None,
    })
}

/// A number that the ledger does not know may be mistyped, and may be a certificate that a restored backup
/// has lost: the operator says it twice. `raised` is how many revocations the reason raises, of one that is
/// revoked already.
fn revoke_unrecorded(
    args: Args,
    context: &Context,
    desk: &Desk,
    serial: Serial,
    raised: Option<usize>,
) -> Result<Exit, Failure> {
    if raised.is_none() && args.confirm != Some(serial) {
        return Err(Failure::from(NotFound::Certificate(serial)).hint(format!(
            "`pki list` shows what there is; one of this CA's that a restored backup has lost: `pki revoke {serial} --confirm {serial}`"
        )));
    }
    let found = Found {
        label: format!("certificate {serial}, which the ledger does not know,"),
        accepted: raised.unwrap_or(1),
        invites: Vec::new(),
    };
    let (reason, said) = (args.of_device(), args.reason);
    let whom = Whom::Certificate(serial);
    let verification = Verification::of(args.verify, args.server, &whom);
    finish(
        (args.common, verification),
        context,
        desk,
        Deed::Revoked,
        &found,
        |session| {
            let revoked = ca::revoke_unrecorded(session, serial, reason)?;
            raise(session, &whom, said, revoked)
        },
    )
}

pub fn run_offboard(args: OffboardArgs, context: &Context) -> Result<Exit, Failure> {
    let desk = context.desk_to_revoke()?;
    let employee = args.employee;
    let (found, since) = look(&args.common, context, &desk, |store| {
        let now = earliest(store)?;
        let records = store.employee(&employee)?;
        let invites = ca::open_of_employee(store, &employee, now)?;
        let since = store.offboarded(&employee)?;
        if records.is_empty() && since.is_none() && invites.is_empty() {
            return Err(context.nobody(store, &employee, employee.as_str()));
        }
        let found = Found {
            label: employee.to_string(),
            accepted: ca::to_take_back(records, now).len(),
            invites,
        };
        Ok((found, since))
    })?;
    if found.accepted > 0 || since.is_none() {
        let (given, name) = (args.confirm.as_deref(), employee.as_str());
        let question = format!("This revokes {} of {employee}.", certificates(found.accepted));
        match args.common.dry_run {
            true => context.ui.try_confirm_name(given, name, &question),
            false => context.ui.confirm_name(given, name, &question)?,
        }
    }
    finish(
        (args.common, None),
        context,
        &desk,
        Deed::Offboarded,
        &found,
        |session| ca::offboard(session, &employee),
    )
}

/// What is done, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Revoked,
    Offboarded,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Revoked => "revoked",
            Self::Offboarded => "offboarded",
        })
    }
}

/// Unlocks, records, publishes and tells: the same for a device and a person.
fn finish(
    (common, verification): (Common, Option<Verification>),
    context: &Context,
    desk: &Desk,
    deed: Deed,
    found: &Found,
    take_back: impl FnOnce(&mut Session<'_>) -> Result<Revoked, CaError>,
) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let label = &found.label;
    // Nothing left to revoke needs no key, unless something is left to publish.
    let publishes = !common.no_publish && (found.accepted > 0 || verification.is_some() || is_behind(desk)?);
    if common.dry_run {
        if publishes {
            common.try_out(desk, ui);
        }
        return tell_what_would_be(found, ui);
    }
    let issuing: Option<Devices> = match publishes {
        true => unlock(&common.issuing, context, desk, IssuingSecret::unlock)?,
        false => None,
    };
    let mut session = context.session(desk, &mut ClockPolicy::Lenient)?;
    let revoked = take_back(&mut session)?;
    let is_raised = revoked.already.is_some() && !revoked.certificates.is_empty();
    match (revoked.certificates.len(), revoked.already) {
        (0, Some(since)) => ui.say(format!("{label} was {deed} already, on {since}")),
        (0, None) if deed == Deed::Offboarded => ui.say(format!(
            "{label} is offboarded: no certificate to revoke, and none will be issued"
        )),
        (0, None) => ui.say(format!(
            "{label} has no certificate that servers accept; nothing to revoke"
        )),
        (_, Some(since)) if revoked.employee.is_some() => ui.say(format!(
            "{label} was {deed} already, on {since}; from now on nobody is certified for its key"
        )),
        // Of one that the ledger does not know, the key is not known either.
        (_, Some(since)) => ui.say(format!(
            "{label} was {deed} already, on {since}; from now on it is so for that reason"
        )),
        (1, None) => ui.say(format!("{label} is {deed}")),
        (count, None) => ui.say(format!("{label} is {deed}: {} revoked", certificates(count))),
    }
    if let Some(employee) = revoked
        .employee
        .as_ref()
        .filter(|_| !revoked.certificates.is_empty())
    {
        ui.more(format!(
            "{employee} has {} left",
            counted(revoked.devices_left, "active device")
        ));
    }
    for invite in &revoked.invites {
        ui.say(has_ended(invite));
    }
    for serial in &revoked.same_key {
        ui.warn(format!(
            "certificate {serial} of the same device has the same key, and is still good"
        ));
        ui.hint(format!("run `pki revoke {serial}`"));
    }
    let mut exit = Exit::Done;
    let mut published = false;
    match publishes {
        true => {
            exit = publish(context, &mut session, issuing.as_ref().map(Keys::from))?;
            published = exit == Exit::Done;
            if published {
                // One that has ended is on no CRL any more, for whatever reason.
                ui.say(if revoked.certificates.is_empty() || is_raised {
                    "the CRL is published"
                } else {
                    "the new CRL is published"
                });
            }
        }
        false if !revoked.certificates.is_empty() => {
            exit = tell_recorded_alone(
                context,
                desk,
                match is_raised {
                    true => "run `pki publish`: until then the CRL says less of it",
                    false => "run `pki publish`: until then servers let it in",
                },
            );
        }
        false => {
            if common.no_publish && !ca::behind(&session)?.is_empty() {
                ui.warn("the publication is older than the ledger");
                ui.hint("run `pki publish`");
            }
        }
    }
    drop(session);
    if published && verification.is_none() {
        exit = context.run_commands();
        tell_who_is_to_read_it(context, desk);
    }
    let verified = verification
        .zip(issuing)
        .map(|(verification, issuing)| verification.carry_out(context, desk, &issuing));
    if let Some(failure) = verified.as_ref().and_then(|verified| verified.failure.as_ref()) {
        exit = Exit::Incomplete;
        ui.warn(failure);
        ui.hint(verified.as_ref().map_or("", |verified| &verified.again));
    }
    let report = Report {
        employee: revoked.employee,
        revoked: revoked.certificates,
        already_since: revoked.already,
        devices_left: revoked.devices_left,
        published,
        verified,
    };
    ui.report_done(&report, Ok(exit))
}

fn tell_what_would_be(found: &Found, ui: &Ui) -> Result<Exit, Failure> {
    let revoke = format!("revoke {} of {}", certificates(found.accepted), found.label);
    let cancel = found.invites.iter().map(would_end);
    let would: Vec<String> = std::iter::once(revoke).chain(cancel).collect();
    would.iter().for_each(|would| ui.say(format!("would {would}")));
    ui.report(&DryRun::new(would))?;
    Ok(Exit::Done)
}

/// What is left to do by hand: nothing where commands have told everybody.
fn tell_who_is_to_read_it(context: &Context, desk: &Desk) {
    let publish = &desk.home.config().publish;
    let places = publish.iter().flat_map(|target| target.places()).count();
    let untold = ca::untold_places(&desk.home);
    let servers = match untold.len() {
        0 if places > 0 => return,
        all if all == places => "servers".to_owned(),
        _ => {
            let named: Vec<String> = untold.iter().map(ToString::to_string).collect();
            format!("servers that read {}", named.join(" or "))
        }
    };
    context.ui.hint(format!(
        "{servers} act on it when they have read it: some by themselves, most at a reload, all at a restart"
    ));
}

fn certificates(count: usize) -> String {
    counted(count, "certificate")
}
