use std::fmt;

use serde::Serialize;

use crate::authority::Issuing;
use crate::model::{Employee, Reason, Serial, Time};
use crate::operate::{self, ClockPolicy, Desk, Revoked, Session, Whom};

use super::context::{Context, Named, earliest};
use super::failure::{Exit, Failure};
use super::report::{DryRun, counted};
use super::secrets::IssuingSecret;
use super::words::Words;

/// Lock a device out: every certificate of it that servers accept, at once
///
/// Records it, signs a new CRL and publishes it. `pki revoke SERIAL` takes back exactly one certificate. Servers act on it
/// when they load the new CRL, or at once where they consult server/revoked.map.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki revoke alice                            her only active device
  pki revoke alice/tablet --reason stolen
  pki revoke 0A1B2C3D4E5F60718293A4B5C6D7E8F9 --reason replaced
  pki revoke alice --yes --passphrase-file /etc/pki/passphrase")]
pub struct Args {
    /// EMPLOYEE, EMPLOYEE/DEVICE or a serial number
    #[arg(value_name = "ADDRESS|SERIAL")]
    whom: Named,
    /// Why
    #[arg(long, default_value = "lost", value_parser = Words::new(&Reason::ALL, Reason::word))]
    reason: Reason,
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

#[derive(Debug, Serialize)]
struct Report {
    employee: Employee,
    revoked: Vec<Serial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    already_since: Option<Time>,
    devices_left: usize,
    published: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.revoked.iter().try_for_each(|serial| writeln!(f, "{serial}"))
    }
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let desk = context.desk()?;
    let (whom, label, accepted) = {
        let whom = match args.whom {
            Named::Serial(serial) => Whom::Certificate(serial),
            Named::Addressee(addressee) => Whom::Device(context.existing(&desk.home, &addressee)?),
        };
        let store = context.read(&desk.home)?;
        let now = earliest(&store);
        let records = match &whom {
            Whom::Certificate(serial) => store.record(serial)?.into_iter().collect(),
            Whom::Device(address) => store.device(address)?,
        };
        if records.is_empty() {
            return Err(match whom {
                Whom::Certificate(serial) => operate::OperateError::NoCertificate(serial).into(),
                Whom::Device(address) => operate::OperateError::NoDevice(address).into(),
            });
        }
        let label = match &whom {
            Whom::Certificate(serial) => format!("certificate {serial} of {}", records[0].address),
            Whom::Device(address) => address.to_string(),
        };
        let accepted = operate::to_take_back(records, now).len();
        (whom, label, accepted)
    };
    if accepted > 0 && !args.common.dry_run {
        context
            .ui
            .confirm(&format!("Revoke {label} ({})?", args.reason))?;
    }
    let reason = args.reason;
    finish(
        args.common,
        context,
        &desk,
        (Deed::Revoked, &label),
        accepted,
        |session| operate::revoke(session, &whom, reason),
    )
}

pub fn run_offboard(args: OffboardArgs, context: &Context) -> Result<Exit, Failure> {
    let desk = context.desk()?;
    let employee = args.employee;
    let (accepted, since) = {
        let store = context.read(&desk.home)?;
        let now = earliest(&store);
        let records = store.employee(&employee)?;
        if records.is_empty() && store.offboarded(&employee)?.is_none() {
            return Err(operate::OperateError::NoEmployee(employee).into());
        }
        let since = store.offboarded(&employee)?;
        let accepted = operate::to_take_back(records, now).len();
        (accepted, since)
    };
    if !args.common.dry_run && (accepted > 0 || since.is_none()) {
        let question = format!("This revokes {} of {employee}.", certificates(accepted));
        context
            .ui
            .confirm_name(args.confirm.as_deref(), employee.as_str(), &question)?;
    }
    let label = employee.to_string();
    finish(
        args.common,
        context,
        &desk,
        (Deed::Offboarded, &label),
        accepted,
        |session| operate::offboard(session, &employee),
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
    common: Common,
    context: &Context,
    desk: &Desk,
    (deed, label): (Deed, &str),
    accepted: usize,
    take_back: impl FnOnce(&mut Session<'_>) -> Result<Revoked, operate::OperateError>,
) -> Result<Exit, Failure> {
    let ui = &context.ui;
    if common.dry_run {
        let would = format!("revoke {} of {label}", certificates(accepted));
        ui.say(format!("would {would}"));
        ui.report(&DryRun::new(vec![would]))?;
        return Ok(Exit::Done);
    }
    // Nothing left to revoke needs no key, unless an earlier command was cut off between recording and publishing.
    let publishes = !common.no_publish
        && (accepted > 0 || !operate::behind(&context.session(desk, ClockPolicy::Lenient)?)?.is_empty());
    let issuing: Option<Issuing> = if publishes {
        Some(unlock(&common, context, desk)?)
    } else {
        None
    };
    let mut session = context.session(desk, ClockPolicy::Lenient)?;
    let revoked = take_back(&mut session)?;
    match (revoked.certificates.len(), revoked.already) {
        (0, Some(since)) => ui.say(format!("{label} was {deed} already, on {since}")),
        (0, None) if deed == Deed::Offboarded => ui.say(format!(
            "{label} is offboarded: no certificate to revoke, and none will be issued"
        )),
        (0, None) => ui.say(format!(
            "{label} has no certificate that servers accept; nothing to revoke"
        )),
        (1, _) => ui.say(format!("{label} is {deed}")),
        (count, _) => ui.say(format!("{label} is {deed}: {} revoked", certificates(count))),
    }
    if !revoked.certificates.is_empty() {
        ui.more(format!(
            "{} has {} left",
            revoked.employee,
            counted(revoked.devices_left, "active device")
        ));
    }
    let mut exit = Exit::Done;
    let mut published = false;
    match issuing {
        Some(issuing) => {
            let done = context.publish_change(&mut session, &issuing)?;
            exit = context.tell_published(&done, session.now);
            published = exit == Exit::Done;
            if published {
                ui.say("the new CRL is published");
            }
            ui.hint("servers act on it when they next load the CRL, or at once where they consult server/revoked.map");
        }
        None if !revoked.certificates.is_empty() => {
            ui.hint("run `pki publish`: until then servers let it in");
        }
        None => {
            if common.no_publish && !operate::behind(&session)?.is_empty() {
                ui.warn("the publication is older than the ledger");
                ui.hint("run `pki publish`");
            }
        }
    }
    let report = Report {
        employee: revoked.employee,
        revoked: revoked.certificates.iter().map(|record| record.serial).collect(),
        already_since: revoked.already,
        devices_left: revoked.devices_left,
        published,
    };
    ui.report_done(&report, Ok(exit))
}

fn certificates(count: usize) -> String {
    counted(count, "certificate")
}

fn unlock(common: &Common, context: &Context, desk: &Desk) -> Result<Issuing, Failure> {
    common.issuing.unlock(&desk.home, &context.ui).map_err(|failure| match failure.exit {
        Exit::Secret => failure.hint(
            "the same with --no-publish records it without a passphrase; servers act on it after `pki publish`",
        ),
        Exit::Done | Exit::Refused | Exit::Usage | Exit::Found | Exit::Incomplete | Exit::Bug | Exit::Interrupted => failure,
    })
}
