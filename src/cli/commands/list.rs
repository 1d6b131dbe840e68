//! `pki list`: lists the devices' certificates.

use crate::ca;
use crate::model::{Employee, Record, Revocation, Span, Status, Time};
use crate::store::StoreError;

use crate::cli::columns::Columns;
use crate::cli::context::{Context, ahead, meant, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::listing::Listing;
use crate::cli::named::Addressee;
use crate::cli::report::Row;
use crate::cli::streams;
use crate::cli::words::Words;

/// List the certificates, by person and device
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki list
  pki list alice                         hers; alice/phone is one device
  pki list --status revoked --csv > revoked.csv
  pki list --expiring 30d --check        exit code 3 if there are any: for monitoring
  pki list --json | jq '.devices[] | select(.status == \"valid\") | .address'")]
pub struct Args {
    /// Only this person's or this device's: EMPLOYEE or EMPLOYEE/DEVICE [default: all]
    #[arg(value_name = "ADDRESS", value_hint = clap::ValueHint::Other)]
    whom: Option<Addressee>,
    /// Only this person's
    #[arg(long, conflicts_with = "whom", value_name = "EMPLOYEE", value_hint = clap::ValueHint::Other)]
    employee: Option<Employee>,
    /// Only these
    #[arg(long, value_name = "STATUS", value_parser = Words::new(&Status::ALL, Status::word))]
    status: Option<Status>,
    /// Only what is to be renewed: valid ones that end within this time, and the last ones of devices that
    /// have none any more
    #[arg(long, value_name = "DURATION", value_parser = ahead)]
    expiring: Option<Span>,
    /// Exit with 3 where the list is not empty
    #[arg(long)]
    check: bool,
    /// As CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

const COLUMNS: [&str; 4] = ["DEVICE", "STATUS", "UNTIL", "SERIAL"];

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let home = context.open_despite_config()?;
    let store = context.read(&home)?;
    let now = system_clock();
    // A filter that matches nothing is no error; a name that was mistyped should be noticed all the same.
    let whom = args.whom.or(args.employee.map(Addressee::Employee));
    let is_text = !args.csv && !context.ui.json;
    let mut columns = Columns::new(streams::stdout_columns());
    columns.fit(&COLUMNS);
    let mut found = store.by_device();
    let mut take = |record: &Record| -> Result<(), StoreError> {
        if args.status.is_some_and(|wanted| wanted != record.status(now)) {
            return Ok(());
        }
        if let Some(within) = args.expiring
            && ca::renewal_due(&store, record, now, within)?.is_none()
        {
            return Ok(());
        }
        if is_text {
            columns.fit(&cells(record, now));
        }
        found.add(record);
        Ok(())
    };
    let is_known = match &whom {
        Some(Addressee::Employee(employee)) => {
            let records = store.employee(employee)?;
            records.iter().try_for_each(&mut take)?;
            !records.is_empty() || store.offboarded(employee)?.is_some()
        }
        Some(Addressee::Device(address)) => {
            let records = store.device(address)?;
            records.iter().try_for_each(&mut take)?;
            !records.is_empty()
        }
        // The canaries of `pki check` are nobody's devices, and each check leaves one behind.
        None => {
            store.records(&mut |record| match record.address.is_reserved() {
                true => Ok(()),
                false => take(&record),
            })?;
            true
        }
    };
    if let (Some(whom), false) = (&whom, is_known) {
        context.ui.warn(whom.unknown());
        let text = whom.to_string();
        let near = match whom {
            Addressee::Employee(employee) => ca::mistakable_person(&store, employee)?,
            Addressee::Device(address) => ca::mistakable(&store, address)?,
        };
        if Status::ALL.iter().any(|status| status.word() == text) {
            context.ui.hint(format!("`pki list --status {text}`"));
        } else if let Some(question) = meant(&near) {
            context.ui.hint(question);
        }
    }
    // Whoever reads the list may take her time, and an open index keeps others out.
    drop(store);
    let is_empty = found.is_empty();
    let records = found.sorted()?;
    if args.csv {
        write_csv(Listing::for_programs(&context.ui, "devices"), records, now)?;
    } else {
        let mut listing = Listing::new(&context.ui, "devices");
        if is_text && !is_empty {
            listing.add_text(&columns.lines(&COLUMNS));
        }
        for record in records {
            let record = record?;
            listing.add(&Row::new(&record, now), |_| columns.lines(&cells(&record, now)));
        }
        listing.end()?;
    }
    if is_empty && is_text {
        context.ui.say("nothing to list");
    }
    Ok(if args.check && !is_empty {
        Exit::Found
    } else {
        Exit::Done
    })
}

/// A line for people.
fn cells(record: &Record, now: Time) -> [String; 4] {
    let status = match record.revocation() {
        Some(Revocation { reason, .. }) => format!("{} ({reason})", record.status(now)),
        None => record.status(now).to_string(),
    };
    [
        record.address.to_string(),
        status,
        record.validity.not_after.date(),
        record.serial.to_string(),
    ]
}

fn write_csv(
    listing: Listing<'_>,
    records: impl Iterator<Item = Result<Record, StoreError>>,
    now: Time,
) -> Result<(), Failure> {
    let broken = |e: csv::Error| Failure::new(Exit::Bug, "bug", e);
    let mut writer = csv::Writer::from_writer(listing);
    writer
        .write_record([
            "address",
            "employee",
            "device",
            "serial",
            "status",
            "not_before",
            "not_after",
            "revoked_at",
            "reason",
        ])
        .map_err(broken)?;
    for record in records {
        let row = Row::new(&record?, now);
        writer
            .write_record([
                row.address.to_string(),
                row.employee,
                row.device,
                row.serial.to_string(),
                row.status.to_string(),
                row.not_before.to_string(),
                row.not_after.to_string(),
                row.revoked_at.map_or(String::new(), |t| t.to_string()),
                row.reason.map_or(String::new(), |r| r.to_string()),
            ])
            .map_err(broken)?;
    }
    let listing = writer
        .into_inner()
        .map_err(|e| Failure::new(Exit::Bug, "bug", e))?;
    listing.end()
}
