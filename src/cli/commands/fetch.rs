//! `pki fetch`: brings a publication to the machine of a server.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::disk;
use crate::fetch::{self, Command, Confirmation, Ending, Fetched, Order, SourceName, Unproven};
use crate::https::Resolve;
use crate::model::serial::InvalidSerial;
use crate::model::{Span, Time, counted};
use crate::publish::Area;

use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::place::directory;
use crate::cli::report::DryRun;
use crate::cli::ui::Ui;

/// Fetch a publication onto a server: verified, swapped in whole, then a reload
///
/// For a timer on the machine that lets devices in; it needs no home. SOURCE is an https URL or a directory
/// with one half of a publication (public or server). Everything is held against the root: who signed it,
/// that it is whole, in date, and not older than what was seen before. Then DIR, a link, moves to the new one
/// in one step. What breaks a rule changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki fetch https://pki.acme.example/public --root root.crt --out /etc/nginx/pki/public \\
      --exec 'nginx -t && systemctl reload nginx'
  pki fetch /mnt/pki/server --root root.crt --out /etc/nginx/pki/server --group www-data
  pki fetch https://pki.internal/public --ca internal.pem --root root.crt --out public
  pki fetch https://pki.acme.example/public --root root.crt --out public --dry-run     does it hold?

Exit codes:
  0 in place, changed or not    1 refused: what was there is there still    3 in place, and near its end
  5 in place, but the command of --exec failed; the next fetch runs it again")]
pub struct Args {
    /// Where the publication is: an https URL, or a directory
    #[arg(value_name = "SOURCE")]
    source: SourceName,
    /// The root's certificate, which came to this machine by a safe way
    #[arg(long, value_name = "FILE")]
    root: PathBuf,
    /// The directory that is to hold the publication
    #[arg(long, value_name = "DIR", value_parser = directory())]
    out: PathBuf,
    /// What a shell (sh -c) runs once files have changed: what has the server read them
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
    /// Which half it must be [default: the one that DIR holds, or whichever comes first]
    #[arg(long, value_name = "AREA")]
    area: Option<AreaWord>,
    /// The group that may read the files
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// The certificates, PEM, to trust for the https server in place of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Where a host is, instead of asking the name service
    #[arg(long, value_name = "HOST:PORT:ADDR")]
    resolve: Vec<Resolve>,
    /// A CRL of the root to hold the signer of the server half against, which has none: crl/root.crl of the
    /// public half
    #[arg(long, value_name = "FILE")]
    root_crl: Option<PathBuf>,
    /// A certificate that is revoked in what is in place may be let in again; or all that a publication lets
    /// in, by its number; or the home's ledger is rightly another than what is in place was made from
    /// (HISTORY)
    #[arg(long, value_name = "SERIAL|NUMBER|HISTORY", value_parser = confirmation)]
    confirm: Vec<Confirmation>,
    /// How long it may take in all
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    timeout: Span,
    /// Fetch and verify, and put nothing in place
    #[arg(long)]
    dry_run: bool,
}

/// A half of a publication, as it is typed.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum AreaWord {
    /// What anyone may read: certificates and CRLs
    Public,
    /// What only servers read: device lists
    Server,
}

impl From<AreaWord> for Area {
    fn from(word: AreaWord) -> Self {
        match word {
            AreaWord::Public => Self::Public,
            AreaWord::Server => Self::Server,
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    area: Area,
    number: u64,
    changed: Vec<String>,
    valid_until: Time,
    ending: Vec<EndingReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exec: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct EndingReport {
    what: String,
    ends: Time,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changed.is_empty() {
            return Ok(());
        }
        writeln!(f, "{} {}", self.area, self.number)
    }
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let group = args.group.as_deref().map(disk::group_number).transpose()?;
    let now = system_clock();
    let order = Order {
        source: &args.source,
        root: &args.root,
        out: &args.out,
        area: args.area.map(Area::from),
        group,
        ca: args.ca.as_deref(),
        resolve: &args.resolve,
        root_crl: args.root_crl.as_deref(),
        confirmed: &args.confirm,
        exec: args.exec.as_deref(),
        wait: context.wait,
        timeout: Duration::from_secs(u64::try_from(args.timeout.as_seconds()).unwrap_or(0)),
        is_trial: args.dry_run,
        now,
    };
    let fetched = fetch::fetch(&order).map_err(|stopped| {
        tell_endings(ui, &stopped.endings, now);
        Failure::from(stopped.error)
    })?;
    let out = args.out.display();
    let Fetched { area, number, .. } = fetched;
    let what = counted(fetched.changed.len(), "file");
    match (fetched.changed.as_slice(), args.dry_run) {
        ([], _) => ui.say("nothing has changed"),
        (_, true) => ui.say(format!("would put {area} {number} in {out}: {what} changed")),
        (changed, false) => {
            ui.say(format!("{out} holds {area} {number}: {what} changed"));
            changed
                .iter()
                .for_each(|file| ui.detail(format!("changed: {file}")));
        }
    }
    tell_endings(ui, &fetched.endings, now);
    tell_unproven(ui, &fetched.unproven);
    let near = if fetched.endings.is_empty() && fetched.unproven == Unproven::default() {
        Exit::Done
    } else {
        Exit::Found
    };
    if args.dry_run {
        ui.report(&DryRun::new(fetched.changed))?;
        return Ok(near);
    }
    let (exit, exec) = match &fetched.command {
        Command::NotRun => (Ok(near), None),
        Command::Done => (Ok(near), Some("done")),
        Command::Failed(why) => {
            let command = args.exec.as_deref().unwrap_or_default();
            let failure = Failure::new(
                Exit::Incomplete,
                "exec",
                format!("{out} holds {area} {number}, and `{command}` failed: {why}"),
            );
            let hint = "mend what it does; the next fetch runs it again, whether anything has changed or not";
            (Err(failure.hint(hint)), Some("failed"))
        }
    };
    let report = Report {
        area,
        number,
        changed: fetched.changed,
        valid_until: fetched.valid_until,
        ending: fetched
            .endings
            .iter()
            .map(|ending| EndingReport {
                what: ending.what.to_string(),
                ends: ending.ends,
            })
            .collect(),
        exec,
    };
    ui.report_done(&report, exit)
}

/// Parses a confirmation of what may be accepted again.
fn confirmation(text: &str) -> Result<Confirmation, String> {
    if text == "HISTORY" {
        return Ok(Confirmation::History);
    }
    if let Ok(number) = text.parse::<u64>() {
        return Ok(Confirmation::Publication(number));
    }
    let serial = text
        .parse()
        .map_err(|why: InvalidSerial| format!("{why}, nor the number of a publication, nor HISTORY"))?;
    Ok(Confirmation::Certificate(serial))
}

/// Reports the findings that a comparison with the publication installed before could not decide.
fn tell_unproven(ui: &Ui, unproven: &Unproven) {
    if let Some(first) = unproven.left.first() {
        let more = match unproven.left.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        ui.warn(format!(
            "{first}{more} was revoked in what was in place, and is so no more; the publication does not say whether the certificate has ended"
        ));
        ui.hint(
            "it comes from version 0.1 of pki, which does not say that: update pki where it is published",
        );
    }
    if let Some((first, _)) = unproven.lost.first_key_value() {
        let more = match unproven.lost.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        ui.warn(format!(
            "{first}{more} was accepted by what was in place before, has not ended, and is neither accepted nor revoked any more: the home has lost it"
        ));
        ui.hint(format!(
            "nobody can revoke it by name: `pki publish --published DIR` on the CA's machine takes it in, with a version that accepts it: the one before \
             lies beside this one until the next change (.NAME.pki-fetch); where it shall stay lost, --confirm {first} ends this warning"
        ));
    }
    for host in &unproven.unpinned {
        ui.warn(format!(
            "what was in place had pins of {host}, and there are none any more: the server was removed, or the home has lost it"
        ));
        ui.hint(
            "where nobody has removed it, apps go without once theirs have ended: `pki publish --published DIR` on the CA's machine, with the version before, which lies beside this \
             one until the next change (.NAME.pki-fetch), publishes them again",
        );
    }
    for file in &unproven.unread {
        ui.warn(format!(
            "{} is damaged or gone: whether what was in place revoked more is not known",
            file.display()
        ));
    }
    if !unproven.unread.is_empty() {
        ui.hint(
            "another server that fetches may know it: `pki publish --published DIR` on the CA's machine, with what that one has in place, takes it in",
        );
    }
}

/// Prints one line for each thing that expires soon, and what it means.
fn tell_endings(ui: &Ui, endings: &[Ending], now: Time) {
    for Ending { what, ends } in endings {
        if *ends < now {
            ui.warn(format!("{what} in place ended on {ends}: servers let nobody in"));
        } else {
            ui.warn(format!(
                "{what} ends in {}, on {ends}; then servers let nobody in",
                *ends - now
            ));
        }
    }
}
