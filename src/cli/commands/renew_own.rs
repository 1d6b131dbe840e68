//! `pki renew --est`: a device renews the certificate that it has, at the service that the PKI runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand_core::Rng;
use serde::Serialize;

use crate::fetch::run_command;
use crate::https::Resolve;
use crate::key::os_rng;
use crate::model::{Span, Time};
use crate::reenroll::{self, EstUrl, Order, Outcome};

use crate::cli::context::{Context, system_clock};
use crate::cli::delivery_args::DeliveryArgs;
use crate::cli::error::{Exit, Failure};
use crate::cli::report::DryRun;

/// The flags of a device that renews its own certificate.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "On the device itself")]
pub struct OwnArgs {
    /// Renew the certificate of this machine at this service, where it is due: https://HOST[:PORT], or with
    /// the path of EST
    #[arg(long, value_name = "URL", value_hint = clap::ValueHint::Url, requires_all = ["cert", "key", "root"],
        conflicts_with_all = ["address", "expiring", "expired", "all", "csr", "name", "email", "platform", "days",
            "revoke_old", "out", "bundle_passphrase_out", "p12", "qr", "with_root", "no_publish", "confirm",
            "bundle_passphrase_fd", "bundle_passphrase_file"])]
    est: Option<EstUrl>,
    /// The certificate, PEM or DER, with or without those above it; the new one takes its place
    #[arg(long, value_name = "FILE", requires = "est")]
    cert: Option<PathBuf>,
    /// Its key, PEM (mode 0600), a file of its own; the new one takes its place. Where it is encrypted, the
    /// passphrase is given as that of an issuing key
    #[arg(long, value_name = "FILE", requires = "est")]
    key: Option<PathBuf>,
    /// The root's certificate, which came to this machine by a safe way
    #[arg(long, value_name = "FILE", requires = "est")]
    root: Option<PathBuf>,
    /// What a shell (sh -c) runs once certificate and key have changed: what has a program read them
    #[arg(long, value_name = "CMD", requires = "est")]
    exec: Option<String>,
    /// Where a host is, instead of asking the name service
    #[arg(long, value_name = "HOST:PORT:ADDR", requires = "est")]
    resolve: Vec<Resolve>,
    /// How long to try, where the service cannot be reached
    #[arg(long, value_name = "DURATION", default_value = "60s", requires = "est")]
    timeout: Span,
    /// Wait a random time of at most this before asking: for timers that many devices have
    #[arg(long, value_name = "DURATION", requires = "est")]
    jitter: Option<Span>,
}

/// The flags, where they are meant.
pub struct Own<'a> {
    est: &'a EstUrl,
    cert: &'a Path,
    key: &'a Path,
    root: &'a Path,
    args: &'a OwnArgs,
}

impl OwnArgs {
    /// The flags, where a device renews its own certificate.
    pub fn meant(&self) -> Option<Own<'_>> {
        Some(Own {
            est: self.est.as_ref()?,
            cert: self.cert.as_deref()?,
            key: self.key.as_deref()?,
            root: self.root.as_deref()?,
            args: self,
        })
    }
}

#[derive(Debug, Serialize)]
struct Report {
    renewed: bool,
    not_after: Time,
    /// When the certificate is renewed, where it is not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    renewable_from: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exec: Option<&'static str>,
}

impl fmt::Display for Report {
    /// What happened is told as it is.
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

pub fn run(own: &Own<'_>, delivery: &DeliveryArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let args = own.args;
    let order = Order {
        url: own.est,
        certificate: own.cert,
        key: own.key,
        root: own.root,
        resolve: &args.resolve,
        wait: context.wait,
        timeout: duration(args.timeout),
        announces: args.exec.is_some(),
        is_trial: delivery.dry_run,
        now: system_clock(),
    };
    let look = reenroll::look(&order)?;
    let outcome = if look.is_due {
        let passphrase = look
            .is_encrypted
            .then(|| delivery.issuing.of_device(ui))
            .transpose()?;
        if let Some(jitter) = args.jitter.filter(|_| !delivery.dry_run) {
            let longest = u64::try_from(duration(jitter).as_millis()).unwrap_or(u64::MAX);
            std::thread::sleep(Duration::from_millis(os_rng().next_u64() % longest.max(1)));
        }
        reenroll::renew(&order, passphrase.as_ref())?
    } else {
        Outcome::NotDue
    };
    let [cert, key] = [own.cert, own.key].map(Path::display);
    let (renewed, not_after) = match outcome {
        Outcome::NotDue => {
            let (from, until) = (look.from, look.until);
            ui.say(format!(
                "nothing to do: {cert} is good until {until}, and is renewed from {from} on"
            ));
            (false, until)
        }
        Outcome::Would => {
            ui.say(format!("would renew {cert} and {key} at {}", own.est));
            let files = [own.cert, own.key].map(|path| path.display().to_string());
            ui.report(&DryRun::new(files.to_vec()))?;
            return Ok(Exit::Done);
        }
        Outcome::Renewed(until) => {
            ui.say(format!("{cert} and {key} are new, and good until {until}"));
            (true, until)
        }
        Outcome::Finished(until) => {
            ui.say(format!(
                "{cert} and {key} are those that an earlier run got, and are good until {until}"
            ));
            (true, until)
        }
    };
    let (exit, exec) = tell(own, &order)?;
    let report = Report {
        renewed,
        not_after,
        renewable_from: (!renewed).then_some(look.from),
        exec,
    };
    ui.report_done(&report, exit)
}

/// Runs the command that follows an exchange, of this run or an earlier one.
fn tell(own: &Own<'_>, order: &Order<'_>) -> Result<(Result<Exit, Failure>, Option<&'static str>), Failure> {
    let Some(command) = own.args.exec.as_deref() else {
        return Ok((Ok(Exit::Done), None));
    };
    if order.is_trial || !reenroll::is_untold(order)? {
        return Ok((Ok(Exit::Done), None));
    }
    match run_command(command) {
        Ok(()) => {
            reenroll::told(order)?;
            Ok((Ok(Exit::Done), Some("done")))
        }
        Err(why) => {
            let failure = Failure::new(
                Exit::Incomplete,
                "exec",
                format!("{} is new, and `{command}` failed: {why}", own.cert.display()),
            );
            let hint =
                "mend what it does; the next run has it run again, whether the certificate is due or not";
            Ok((Err(failure.hint(hint)), Some("failed")))
        }
    }
}

fn duration(span: Span) -> Duration {
    Duration::from_secs(u64::try_from(span.as_seconds()).unwrap_or(0))
}
